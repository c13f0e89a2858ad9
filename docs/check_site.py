"""Check a built site: every link within it leads to something, and no page loads anything from elsewhere."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """The names of places in a page, where it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names, links to or loads."""
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.places.add(value)
            elif value and (tag, name) in _LOADED:
                self.loaded.append(value)
            elif value and name == "href":
                self.links.append(value)


def defects(site: Path) -> list[str]:
    """One sentence for each link that leads nowhere, and for each thing that comes from elsewhere."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    sentences = [] if pages else [f"{site} holds no page."]
    for path, page in pages.items():
        for link in page.links + page.loaded:
            sentence = _defect(path, link, pages, loaded=link in page.loaded)
            sentences += [f"{path.relative_to(site.resolve())}: {sentence}"] if sentence else []
    return sentences


def _defect(path: Path, link: str, pages: dict[Path, Page], *, loaded: bool) -> str:
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return f"{link} is loaded from elsewhere." if loaded and address.scheme != "data" else ""
    target = (path.parent / unquote(address.path)).resolve() if address.path else path
    if not target.exists():
        return f"{link} does not exist."
    place = unquote(address.fragment)
    if place and target in pages and place not in pages[target].places:
        return f"{link} names no place of that page."
    return ""


if __name__ == "__main__":
    sentences = defects(Path(sys.argv[1]))
    sys.stderr.writelines(f"{sentence}\n" for sentence in sentences)
    sys.exit(bool(sentences))
