"""Whether the present credentials may do what an identity of Darkroom needs; tried on the real buckets, unharmed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from function.bucket.keeping import Keeping
from function.config import Settings
from function.doctor.finding import Check, Finding
from function.doctor.storage import Storage, code_of
from function.doctor.writing import Writing, nobodys
from function.errors import AccessDenied, BucketMissing, StoreDown
from function.layout import CLAIMS, DEAD, FILES, IMAGES, RECORDS, RESULTS, TOLD

if TYPE_CHECKING:
    from function.store import S3Store

LIST = Check(
    "may-list", "the buckets may be listed (s3:ListBucket)", "grant what `knative/policies/` has for the identity"
)
READ = Check(
    "may-read",
    "what is there may be read, and what is missing is answered 404 and not 403 (s3:GetObject, s3:ListBucket)",
    LIST.mend,
)
WRITE = Check(
    "may-write", "objects may be written below each prefix that the identity writes (s3:PutObject)", LIST.mend
)
KEEP = Check(
    "may-keep",
    "pictures are taken with what `DARKROOM_TAGS` and `DARKROOM_SSE_KMS_KEY` ask for (s3:PutObjectTagging, "
    "kms:GenerateDataKey, kms:Decrypt)",
    "another value of that setting, or the right to it: `knative/policies/README.md`",
)
CLAIM = Check("may-claim", "a claim may be created if it is absent, read, and overwritten by its owner", LIST.mend)
DELETE = Check("may-delete", "claims may be deleted (s3:DeleteObject below claims/)", LIST.mend)


@dataclass(frozen=True, slots=True)
class Rights:
    """What an identity needs: prefixes of the image bucket, and whether it reads prompt files and input objects."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    prompts: bool = False
    inputs: bool = False
    # Whether it may write and delete what `darkroom check-store` does.
    checks: bool = False

    @property
    def lists(self) -> bool:
        """Only who may list a bucket is told that an object is missing."""
        return bool(self.reads)


PAGE: Final = "knative/policies/README.md"
RENDER: Final = "render"
# The file of what render is granted beside its own, where prompts may take pictures from buckets.
INPUTS: Final = "inputs"
# As knative/policies has them, a file for each; a test compares.
POLICIES: Final[Mapping[str, Rights]] = {
    RENDER: Rights((CLAIMS, IMAGES, RECORDS), (CLAIMS, IMAGES, RECORDS, RESULTS, TOLD), inputs=True),
    "intake": Rights((CLAIMS, FILES, IMAGES, RECORDS), (FILES, RECORDS, RESULTS, TOLD), prompts=True, checks=True),
    "sweep": Rights((FILES, IMAGES, RECORDS), (FILES, RESULTS, TOLD), (CLAIMS,), prompts=True),
    "archive": Rights((), (DEAD,)),
    "operator": Rights((CLAIMS, DEAD, FILES, RECORDS, TOLD), prompts=True, checks=True),
}
IDENTITIES: Final[Mapping[str, Rights]] = {
    # For credentials that all share.
    "all": Rights(
        (CLAIMS, DEAD, FILES, IMAGES, RECORDS, TOLD),
        (CLAIMS, DEAD, FILES, IMAGES, RECORDS, RESULTS, TOLD),
        (CLAIMS,),
        prompts=True,
        inputs=True,
        checks=True,
    ),
    **POLICIES,
}


def _with_destinations(needs: Rights, prefixes: tuple[str, ...]) -> Rights:
    """With the prefixes that prompts may have their pictures below, for whoever needs `images/`."""

    def all_of(few: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*few, *prefixes))) if IMAGES in few else few

    return replace(needs, reads=all_of(needs.reads), writes=all_of(needs.writes))


def _granting(kind: str, names: Sequence[str]) -> str:
    """The command that grants these policies, on such a store."""
    if kind in ("minio", "rustfs"):
        made = [f"mc admin policy create $ALIAS darkroom-{name} knative/policies/{name}.json" for name in names]
        # All at once: mc calls it an error to attach what is attached already.
        attached = " ".join(f"darkroom-{name}" for name in names)
        return " && ".join([*made, f'mc admin policy attach $ALIAS {attached} --user "$AWS_ACCESS_KEY_ID"'])
    who = "role" if kind == "aws" else "user"
    return " && ".join(
        f"aws iam put-{who}-policy --{who}-name darkroom-{RENDER if name == INPUTS else name} "
        # Another name than that of render's own, which it would replace.
        f"--policy-name darkroom{f'-{name}' if name == INPUTS else ''} "
        f"--policy-document file://knative/policies/{name}.json"
        for name in names
    )


class RightsExamination:
    """The rights of one identity, `all` for credentials that every process shares."""

    name = "rights"
    checks = (LIST, READ, WRITE, KEEP, CLAIM, DELETE)
    seconds = 30.0

    def __init__(self, storage: Storage, settings: Settings, identity: str) -> None:
        self._storage = storage
        self._settings = settings
        self._identity = identity
        self._keeping = Keeping.wanted(settings)
        self._needs = _with_destinations(IDENTITIES[identity], self._keeping.prefixes)

    def run(self) -> Iterator[Finding]:
        self._storage.require()
        try:
            yield from self._rights()
        except BucketMissing as missing:
            yield LIST.unknown(str(missing))

    def _rights(self) -> Iterator[Finding]:
        from function.store.check_store import PREFIX

        images = self._storage.bucket(self._settings.image_bucket)
        if self._needs.lists:
            yield from self._list_and_read(images, self._needs.reads)
        for name in self._settings.prompt_buckets if self._needs.prompts else ():
            yield from self._list_and_read(self._storage.bucket(name), (self._settings.prompt_prefix,))
        if self._needs.writes:
            writing = Writing(self._storage, images, self._keeping)
            written = self._tried(WRITE, lambda: self._write(writing))
            yield written
            if written.state == "ok" and IMAGES in self._needs.writes and writing.asking:
                yield from self._keep(writing)
        key = f"{PREFIX}doctor-{uuid.uuid4().hex}/1"
        if CLAIMS in self._needs.writes:
            yield self._tried(CLAIM, lambda: self._claim(images, key))
        if self._needs.deletes:
            yield self._tried(DELETE, lambda: self._delete(images, key))
        else:
            with suppress(StoreDown):
                images.delete(key)
        for name in self._settings.input_buckets if self._needs.inputs else ():
            yield from self._list_and_read(self._storage.bucket(name), ("",), (INPUTS,))

    def _tried(self, check: Check, attempt: Callable[[], str], lacking: Sequence[str] = ()) -> Finding:
        try:
            return check.ok(attempt())
        except AccessDenied as denied:
            return check.wrong(str(denied), self._grant(lacking))
        except BucketMissing:
            raise
        except StoreDown as error:
            return check.unknown(str(error))

    def _grant(self, lacking: Sequence[str]) -> str:
        """What gives the identity its rights, or only those that are `lacking`, on the kind of store that this is."""
        all_of_its = tuple(POLICIES) if self._identity == "all" else (self._identity,)
        grant = _granting(self._storage.kind, lacking or all_of_its)
        has = self._settings
        # As the files call them, which know of no destinations.
        buckets = (
            has.image_bucket == "images" and {*has.prompt_buckets} <= {"prompts"} and {*has.input_buckets} <= {INPUTS}
        )
        prefixes = bool(lacking) or IMAGES not in self._needs.reads or not has.destinations
        yours = [word for word, named in (("buckets", buckets), ("destinations", prefixes)) if not named]
        return f"{grant}  # once they name your {' and '.join(yours)}: {PAGE}" if yours else grant

    def _list_and_read(
        self, store: S3Store, prefixes: tuple[str, ...], lacking: Sequence[str] = ()
    ) -> Iterator[Finding]:
        def list_it() -> str:
            next(store.list(prefixes[0]), None)
            return f"bucket {store.bucket} may be listed"

        yield self._tried(LIST, list_it, lacking)
        yield self._tried(READ, lambda: self._read(store, prefixes), lacking)

    @staticmethod
    def _read(store: S3Store, prefixes: tuple[str, ...]) -> str:
        read = 0
        for prefix in prefixes:
            # What is missing first, for it needs no object; some stores answer 404 to who may not read either.
            if store.read(nobodys(prefix)) is not None:
                raise StoreDown(f"bucket {store.bucket} answers with something where nothing is")
            there = None
            with suppress(AccessDenied):  # is a finding of its own
                there = next(store.list(prefix), None)
            read += there is not None and store.read(there.key, limit=1) is not None
        seen = f"{read} objects were read" if read else "nothing is there yet to be read"
        return f"in bucket {store.bucket} what is missing is answered 404, and {seen}"

    def _write(self, writing: Writing) -> str:
        for prefix in self._needs.writes:
            writing.below(prefix)
        return f"objects may be written below {', '.join(self._needs.writes)}"

    def _keep(self, writing: Writing) -> Iterator[Finding]:
        try:
            refused = writing.refused()
        except StoreDown as error:
            yield KEEP.unknown(f"pictures are not taken as the settings ask: {error}")
            return
        for asking, refusal in refused:
            said = f"pictures are not taken as {asking.setting} asks: {refusal}"
            if isinstance(refusal, AccessDenied):
                grant = _granting(self._storage.kind, (RENDER,))
                yield KEEP.wrong(said, f"{grant}  # once it grants {asking.needs}: {PAGE}")
            elif code_of(refusal.__cause__):
                yield KEEP.wrong(said, f"kubectl apply --kustomize $OVERLAY  # with another {asking.setting}")
            else:
                yield KEEP.unknown(said)
        if not refused:
            yield from (KEEP.ok(f"pictures are taken as {one.setting} asks") for one in writing.asking)

    @staticmethod
    def _claim(store: S3Store, key: str) -> str:
        if not store.create(key, b"1"):
            raise StoreDown(f"bucket {store.bucket} says of a new claim that it exists")
        store.write(key, b"2")
        stored = store.read(key)
        if stored is None or stored.body != b"2":
            raise StoreDown(f"bucket {store.bucket} does not return a claim that was overwritten")
        return f"a claim was created, overwritten and read in bucket {store.bucket}"

    @staticmethod
    def _delete(store: S3Store, key: str) -> str:
        store.delete(key)
        # And one that is not there: the right to delete what check-store writes is not enough.
        store.delete(f"{nobodys(CLAIMS)}/1")
        return "claims may be deleted"
