"""What `make e2e` prints at its end: what each story took, in figures."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Figures:
    """Figures of the stories, in the order in which they were noted."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, story: str, what: str, figure: float | str) -> None:
        """One figure; numbers with a fraction are seconds."""
        text = f"{figure:.1f} s" if isinstance(figure, float) else str(figure)
        self.rows.append((story, what, text))

    def table(self) -> str:
        """All of them, aligned."""
        widths = [max(len(row[column]) for row in self.rows) for column in (0, 1)] if self.rows else [0, 0]
        lines, before = [], ""
        for story, what, figure in self.rows:
            lines.append(f"{story if story != before else '':{widths[0]}}  {what:{widths[1]}}  {figure}")
            before = story
        return "\n".join(lines)
