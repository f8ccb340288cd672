// Two small charts as SVG. Each has its figures in a table too, for who cannot see it or wants to copy them.

const SVG = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [220, 44, 12, 12, 26];
// About as wide as a chart is shown, so that its letters are as large as they say.
const WIDTH = matchMedia("(max-width: 40rem)").matches ? 340 : 480;

function draw(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The next round number above: 1, 2 or 5 times a power of ten.
function ceiling(value) {
  if (!(value > 0)) return 4;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((round) => round >= value);
}

function frame(title, highest, labels, unit) {
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title, class: "chart" });
  const top = Math.max(ceiling(highest), unit ? 1 : 4);
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, labels.length);
  const x = (i) => LEFT + step * (i + 0.5);
  for (let line = 0; line <= 4; line++) {
    const value = (top * line) / 4;
    svg.append(draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(draw("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, value >= 10_000 ? `${value / 1000}k` : String(+value.toFixed(1))));
  }
  const every = Math.ceil((labels.length * 70) / WIDTH);
  labels.forEach((label, i) => {
    if (i % every === 0) svg.append(draw("text", { x: x(i), y: HEIGHT - 8, "text-anchor": "middle" }, label));
  });
  return { svg, x, y, step };
}

// One bar for each label.
export function bars(title, labels, values) {
  const { svg, x, y, step } = frame(title, Math.max(0, ...values), labels);
  const width = Math.max(2, Math.min(36, step * 0.66));
  values.forEach((value, i) => {
    const height = y(0) - y(value);
    const bar = draw("rect", { x: x(i) - width / 2, y: y(value), width, height, rx: Math.min(4, width / 4, height / 2), class: "column" });
    bar.append(draw("title", {}, `${labels[i]}: ${value}`));
    svg.append(bar);
  });
  return svg;
}

// One line for each series `{name, values}`; where a value is missing the line is broken.
export function lines(title, labels, series, unit) {
  const all = series.flatMap(({ values }) => values).filter(Number.isFinite);
  const { svg, x, y } = frame(title, Math.max(0, ...all), labels, unit);
  series.forEach(({ name, values }, number) => {
    let [path, open] = ["", false];
    values.forEach((value, i) => {
      if (!Number.isFinite(value)) return void (open = false);
      path += `${open ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      open = true;
      const dot = draw("circle", { cx: x(i), cy: y(value), r: 3, class: `dot line${number}` });
      dot.append(draw("title", {}, `${labels[i]}, ${name}: ${Math.round(value)} ${unit}`));
      svg.append(dot);
    });
    svg.append(draw("path", { d: path, class: `series line${number}` }));
  });
  return svg;
}
