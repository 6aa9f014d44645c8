"""The page at /swagger: an own small HTML page to try the API on, without anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence

from modules.sentiment_container.swagger import example_request
from modules.sentiment_container.versions import API_VERSIONS, Version

__all__ = ["home", "try_page"]

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}
textarea,pre{font:14px/1.4 ui-monospace,monospace;width:100%;box-sizing:border-box;padding:.6rem;border:1px solid #bbb}
textarea{height:12rem}pre{background:#f4f4f4;white-space:pre-wrap;min-height:3rem}select,input,button{font:inherit}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#222}textarea{background:#222;
color:#ddd}}"""
SCRIPT = """const at=id=>document.getElementById(id);
function show(){const v=versions[at('version').value];at('path').value=v.path;
at('body').value=JSON.stringify(v.body,null,2);
at('json').href=v.swagger}
async function send(){const started=performance.now();at('answer').textContent='…';
try{const r=await fetch(at('path').value,{method:'POST',
headers:{'Content-Type':at('type').value},body:at('body').value});
const text=await r.text();let shown=text;try{shown=JSON.stringify(JSON.parse(text),null,2)}catch{}
at('answer').textContent=`HTTP ${r.status} · ${Math.round(performance.now()-started)} ms\\n${shown}`}
catch(e){at('answer').textContent=String(e)}}
at('version').onchange=show;at('send').onclick=send;show();"""


def home() -> str:
    """The page at /."""
    return _page(
        "Sentiment stand-in",
        '<p>A local stand-in for the sentiment container. It is running. <a href="/swagger">Try it</a>, or look at '
        '<a href="/ready">/ready</a> and <a href="/status">/status</a>.</p>',
    )


def try_page(versions: Sequence[Version]) -> str:
    """The page at /swagger for the versions that are served, the newest first."""
    newest_first = list(reversed(versions))
    table = {
        version.name: {
            "path": version.path + (f"?api-version={API_VERSIONS[-1]}" if version.name == "language" else ""),
            "body": example_request(version),
            "swagger": f"/swagger/{version.name}/swagger.json",
        }
        for version in newest_first
    }
    choices = "".join(f"<option>{version.name}</option>" for version in newest_first)
    return _page(
        "Try the sentiment API", FORM.replace("{choices}", choices), f"const versions={json.dumps(table)};{SCRIPT}"
    )


FORM = """<p><label>Version <select id="version">{choices}</select></label>
<label>Content type <select id="type"><option>application/json</option>
<option>application/json-patch+json</option></select></label>
<a id="json" href="#">swagger.json</a></p>
<p><label>POST <input id="path" size="60"></label> <button id="send">Send</button></p>
<p><label>Request<textarea id="body" spellcheck="false"></textarea></label></p>
<p>Answer</p><pre id="answer" aria-live="polite"></pre>"""


def _page(title: str, content: str, script: str = "") -> str:
    end = f"<script>{script}</script>" if script else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style></head><body><h1>{title}</h1>'
        f"{content}{end}</body></html>"
    )
