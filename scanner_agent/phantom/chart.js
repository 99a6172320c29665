// Draws a chart of the phantom page when it comes into view. SERIES, CHARTS, RULES: see chart_html.py.
const BLUE = "#2166ac", RED = "#b2182b", GREY = "#8a8a8a", AMBER = "#c77700";

function numbers(text, Kind) {
  return new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}

// NaN is a gap: Plotly wants null.
const gaps = (list) => Array.from(list, (v) => (Number.isFinite(v) ? v : null));

function line(x, y, name, more) {
  return { type: "scatter", mode: "lines", x, y, name, hoverinfo: "skip",
    line: { color: GREY, width: 1, dash: name === "baseline" ? "solid" : "dot" }, ...more };
}

function markers(x, y, at, name, color, symbol) {
  return { type: "scatter", mode: "markers", name, x: at.map((i) => x[i]), y: at.map((i) => y[i]), hoverinfo: "skip",
    marker: { color, symbol, size: 9, line: { width: 2 } } };
}

function controlChart(chart) {
  const series = SERIES[chart.series];
  series.dates ??= Array.from(numbers(series.seconds, Float64Array),
    (s) => new Date(1000 * s).toISOString().slice(0, 16).replace("T", " "));
  const x = series.dates, y = gaps(numbers(chart.y, Float32Array));
  const centre = numbers(chart.centre, Float32Array), sd = numbers(chart.sd, Float32Array);
  const z = numbers(chart.z, Float32Array), marks = numbers(chart.marks, Uint16Array);
  const alarmed = numbers(chart.alarmed, Uint8Array);
  const at = (n) => gaps(centre.map((c, i) => (chart.log ? Math.exp(c + n * sd[i]) : c + n * sd[i])));
  const text = x.map((_, i) => [series.ids[i], Number.isFinite(z[i]) ? `z ${z[i].toFixed(2)}` : "",
    RULES.filter((_rule, bit) => marks[i] & (1 << bit)).join(", "), series.notes[i] ?? ""].filter(Boolean).join("<br>"));
  const run = { type: "scatter", mode: "lines+markers", name: "run", x, y, text,
    hovertemplate: "%{x}<br>%{y:.6g}<br>%{text}<extra></extra>",
    line: { color: BLUE, width: 0.8 }, marker: { color: BLUE, size: 5 } };
  if (chart.errors) {
    run.error_y = { type: "data", array: gaps(numbers(chart.errors, Float32Array)), thickness: 0.8, width: 2 };
  }
  const places = [...x.keys()].filter((i) => y[i] !== null);
  const red = places.filter((i) => alarmed[i]), amber = places.filter((i) => marks[i] && !alarmed[i]);
  const data = [line(x, at(3), "limit ± 3 SD"), line(x, at(-3), "", { showlegend: false }), line(x, at(0), "baseline"), run];
  if (amber.length) data.push(markers(x, y, amber, "a classical rule is broken", AMBER, "circle-open"));
  if (red.length) data.push(markers(x, y, red, "alarm", RED, "circle"));
  return data;
}

const seen = new IntersectionObserver((entries) => entries.forEach((entry) => {
  if (!entry.isIntersecting) return;
  seen.unobserve(entry.target);
  const chart = CHARTS[Number(entry.target.dataset.chart)];
  // On a phone the legend would take half the height; the page's head says what the colours mean.
  const layout = chart.data || innerWidth > 600 ? chart.layout : { ...chart.layout, showlegend: false };
  Plotly.newPlot(entry.target, chart.data ?? controlChart(chart), layout, { responsive: true, displaylogo: false,
    displayModeBar: matchMedia("(hover: hover)").matches && "hover", plotlyServerURL: "",
    modeBarButtonsToRemove: ["sendChartToCloud", "lasso2d", "select2d"] });
}), { rootMargin: "600px" });
document.querySelectorAll(".chart").forEach((place) => seen.observe(place));
