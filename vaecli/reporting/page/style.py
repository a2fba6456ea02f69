"""The style sheet of the report: readable on a phone, in light and in dark; no outside request."""

from __future__ import annotations

# Banner colours (background, text) by status: contrast above 4.5 : 1; the words carry the meaning.
BANNERS = {
    "FULL COLLAPSE": ("#8f1d14", "#ffffff"),
    "SEVERE COLLAPSE": ("#9c3d00", "#ffffff"),
    "PARTIAL COLLAPSE": ("#f0c95a", "#2b2100"),
    "HEALTHY": ("#0b5c8c", "#ffffff"),
}
UNKNOWN_BANNER = ("#555555", "#ffffff")

CSS = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --ink: #1c1f24;
  --soft: #5a6270; --line: #dfe3e8; --code: #eef1f4; --warn: #fff3d6; --warn-line: #d08700; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1d2126; --ink: #e7eaee;
  --soft: #a3adb9; --line: #333a43; --code: #262c33; --warn: #3a2f14; --warn-line: #e0a030; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.35rem; margin: .4rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .5rem 0; }
.soft, figcaption, .meaning { color: var(--soft); }
.banner { border-radius: 12px; padding: 1.1rem 1.3rem; }
.banner .status { font-size: 1.7rem; font-weight: 750; letter-spacing: .02em; line-height: 1.2; }
.banner p { margin: .35rem 0 0; font-size: 1.05rem; }
.card, details, figure { background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; padding: .9rem 1.1rem; margin: .9rem 0; }
.warnings { background: var(--warn); border: 1px solid var(--warn-line);
  border-left: 6px solid var(--warn-line); border-radius: 8px; padding: .7rem 1.1rem;
  margin: 1rem 0; }
.warnings ul { margin: .3rem 0; padding-left: 1.2rem; }
.notes { border-left: 6px solid var(--line); padding: .2rem 1.1rem; margin: 1rem 0; }
.notes ul { margin: .3rem 0; padding-left: 1.2rem; }
.reading p { margin: .3rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .7rem;
  margin: 1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .88rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0;
  border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; font-weight: 600; }
td.name { min-width: 10.5rem; }
.meaning { font-size: .88rem; }
.dead td { color: var(--soft); }
figure { padding: .8rem; }
figure img { max-width: 100%; height: auto; display: block; margin: 0 auto;
  border-radius: 6px; background: #ffffff; }
figcaption { padding: .7rem .3rem .1rem; font-size: .95rem; }
pre { background: var(--code); border-radius: 8px; padding: .7rem .9rem; overflow-x: auto;
  font: .86rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; margin: .3rem 0; }
summary { cursor: pointer; font-weight: 600; }
footer { color: var(--soft); font-size: .85rem; margin: 2rem 0 1rem; }
@media (max-width: 40rem) {
  main { padding: .7rem; }
  .figures thead { display: none; }
  .figures tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .figures td { display: block; border: 0; padding: .05rem 0; white-space: normal; }
}
@media print { details { break-inside: avoid; } figure { break-inside: avoid; } }
"""
