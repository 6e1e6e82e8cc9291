"""Files dropped into real buckets."""
