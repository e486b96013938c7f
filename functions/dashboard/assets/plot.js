// Lets a heat map be read and walked through: what the pointer, a finger or the keyboard
// is on is told below it, arrow keys go from field to field, and a region that is dragged
// over shows its rows. Without it a field is a link to its rows.
const plotOf = (event) => event.target.closest?.("[data-plot]");
const fieldOf = (event) => event.target.closest?.("[data-plot] a");

function read(text) {
  const reading = document.getElementById("reading");
  if (reading && reading.textContent !== text) reading.textContent = text;
}

const label = (field) => field.getAttribute("aria-label");
const pair = (field, name) => field.dataset[name].split(" ").map(Number);

document.addEventListener("pointerover", (event) => {
  const field = fieldOf(event);
  if (field && !drag) read(label(field));
});
document.addEventListener("focusin", (event) => {
  const field = fieldOf(event);
  if (!field) return;
  read(`${label(field)}. Enter shows its rows.`);
  for (const other of plotOf(event).querySelectorAll("a[tabindex='0']")) other.tabIndex = -1;
  field.tabIndex = 0;
});

// Arrow keys go to the next field in their direction that holds rows.
const ways = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
document.addEventListener("keydown", (event) => {
  const field = fieldOf(event);
  const way = ways[event.key];
  if (!field || !way || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  let [line, column] = pair(field, "at");
  for (let i = 0; i < 64; i++) {
    line += way[0];
    column += way[1];
    const next = plotOf(event).querySelector(`a[data-at="${line} ${column}"]`);
    if (next) { next.focus({ preventScroll: true }); return; }
  }
});

// A region is dragged over with a mouse or a pen; a finger scrolls the page.
let drag;
function pick(to) {
  const [line, column] = pair(drag.from, "at");
  const [toLine, toColumn] = pair(to, "at");
  drag.picked = [];
  for (const field of drag.plot.querySelectorAll("a")) {
    const [y, x] = pair(field, "at");
    const inside = y >= Math.min(line, toLine) && y <= Math.max(line, toLine) && x >= Math.min(column, toColumn) && x <= Math.max(column, toColumn);
    field.classList.toggle("picked", inside && to !== drag.from);
    if (inside) drag.picked.push(field);
  }
  drag.moved = to !== drag.from || drag.moved;
  const { fast, slow } = region(drag.picked);
  read(`fast ${fast.join("–")}, slow ${slow.join("–")}: let go to see the rows of this region`);
}

function region(fields) {
  const span = (name) => {
    const all = fields.flatMap((field) => pair(field, name));
    return [Math.min(...all), Math.max(...all)];
  };
  return { fast: span("fast"), slow: span("slow") };
}

document.addEventListener("pointerdown", (event) => {
  const field = fieldOf(event);
  if (field && event.button === 0 && event.pointerType !== "touch") drag = { from: field, plot: plotOf(event), picked: [field], moved: false };
});
document.addEventListener("dragstart", (event) => { if (fieldOf(event)) event.preventDefault(); });
document.addEventListener("pointermove", (event) => {
  const field = drag && fieldOf(event);
  if (field && (drag.moved || field !== drag.from)) pick(field);
});
function drop() {
  drag?.plot.querySelectorAll(".picked").forEach((field) => field.classList.remove("picked"));
  drag = undefined;
}
document.addEventListener("pointerup", () => {
  if (!drag?.moved || drag.picked.length < 2) { drop(); return; }
  const { fast, slow } = region(drag.picked);
  const to = new URL(location.href);
  to.searchParams.delete("from");
  to.searchParams.set("where", `fast>=${fast[0]},fast<=${fast[1]},slow>=${slow[0]},slow<=${slow[1]}`);
  to.hash = "results";
  drop();
  location.assign(to);
});
document.addEventListener("pointercancel", drop);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") drop(); });
