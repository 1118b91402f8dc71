"""The demo's host pages: what lies behind a play link, working or broken on purpose."""

from anibridge.demo.model import DASH_HOST, HLS_HOST, Fault, Link
from anibridge.demo.pages import esc

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
{content}
</body>
</html>
"""


def host_page(link: Link) -> str:
    """The page of a host, with a plain <video> that any reader of HTML finds, unless the host hides it."""
    name = f"{link.title.name} {link.season}x{link.episode.number:02} {link.language}"
    title = f"{esc(name)} - {esc(link.host.name)}"
    if link.host.fault is Fault.NO_VIDEO:
        content = "<p>This page has no video. It is broken on purpose.</p>"
    else:
        source, kind = video_source(link)
        content = f'<video controls width="640"><source src="{source}" type="{kind}"></video>'
    return _PAGE.format(title=title, content=content)


def missing_page() -> str:
    return _PAGE.format(title="File not found", content="<p>There is no such video here.</p>")


def fake_video() -> str:
    """What a host sends that answers «video/mp4» with a page."""
    words = "<p>This is a page and no video, whatever its header says. It is broken on purpose.</p>"
    return _PAGE.format(title="Video unavailable", content=words * 40)


def video_source(link: Link) -> tuple[str, str]:
    """(path, type) of the video that the host page names."""
    if link.host.fault is Fault.FAKE_VIDEO:
        return f"/videos/fake/{link.video_id}.mp4", "video/mp4"
    if link.host.name == HLS_HOST:
        return f"/videos/{link.episode.video.name}-hls/master.m3u8", "application/x-mpegURL"
    if link.host.name == DASH_HOST:
        return f"/videos/{link.episode.video.name}-dash/manifest.mpd", "application/dash+xml"
    return f"/videos/{link.episode.video.file}", "video/mp4"
