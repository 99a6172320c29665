"""Style and script of the HTML report. Plotly's button that uploads a chart is taken away: nothing leaves the page."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light; --ink: #222; --line: #d8d8d8; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: #fff; }
main { max-width: 1100px; margin: 0 auto; padding: 0 16px 48px; }
header { margin: 16px 0; padding: 16px 20px; border-radius: 8px; color: #fff; background: #4d4d4d; }
header.good { background: #1b6b30; } header.watch { background: #8a5a00; } header.stop { background: #a31621; }
header.cannot_judge { background: #5e2a84; }
.state { margin: 0; font-size: clamp(28px, 8vw, 52px); font-weight: 800; line-height: 1.1; }
.advice { margin: 8px 0 0; font-size: 18px; }
h1 { font-size: 22px; margin: 20px 0 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 28px 0 8px; border-bottom: 1px solid var(--line); padding-bottom: 4px; }
h3 { font-size: 15px; margin: 16px 0 6px; }
.wide, .stack { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
td { font-variant-numeric: tabular-nums; min-width: 4em; }
td.long { min-width: 18em; }
.chart { width: 100%; }
@media (min-width: 601px) { td:not(.long) { white-space: nowrap; } }
@media (max-width: 600px) {
  th, td { padding-right: 8px; } table { font-size: 13px; }
  .stack thead { display: none; } .stack table, .stack tbody { display: block; }
  .stack tr { display: block; border-bottom: 1px solid var(--line); padding: 6px 0; }
  .stack td, .stack td.long { display: block; border: 0; padding: 1px 0; min-width: 0; }
  .stack td[data-heading]::before { content: attr(data-heading) ": "; color: #666; }
}
@media print { .wide, .stack { overflow: visible; } section { break-inside: avoid; } }
"""

PLOT_SCRIPT = """
CHARTS.forEach((chart, number) => {
  Plotly.newPlot("chart-" + number, chart.data, chart.layout,
    { responsive: true, displaylogo: false, displayModeBar: window.innerWidth > 600, plotlyServerURL: "",
      modeBarButtonsToRemove: ["sendChartToCloud", "lasso2d", "select2d"] });
});
"""
