// The editor of questions: adding rows, moving them, and showing the fields that a kind has.
// Without this script rows are ordered by their place numbers.

const rows = document.getElementById("question-rows");
const total = document.querySelector("#questions [name$=TOTAL_FORMS]");
const FIXED = 2; // the first two questions are always asked first

const all = () => [...rows.querySelectorAll("[data-row]")];
const field = (row, name) => row.querySelector(`[name$="-${name}"]`);

function number() {
  all().forEach((row, index) => {
    field(row, "place").value = index + 1;
    for (const button of row.querySelectorAll("[data-move]")) {
      const to = index + Number(button.dataset.move);
      button.hidden = false;
      button.disabled = to < FIXED || to >= all().length;
    }
  });
}

function showFields(row) {
  const kind = field(row, "kind").value;
  for (const part of row.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(kind);
}

rows.addEventListener("change", (event) => {
  if (event.target.name.endsWith("-kind")) showFields(event.target.closest("[data-row]"));
});

rows.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (!button) return;
  const row = button.closest("[data-row]");
  if (button.dataset.move === "1") row.nextElementSibling.after(row);
  else row.previousElementSibling.before(row);
  number();
  if (!button.disabled) button.focus();
});

document.getElementById("question-add").addEventListener("click", () => {
  const html = document.getElementById("question-row").innerHTML.replaceAll("__prefix__", total.value);
  rows.insertAdjacentHTML("beforeend", html);
  total.value = Number(total.value) + 1;
  const row = all().at(-1);
  showFields(row);
  number();
  field(row, "title").focus();
});

all().forEach(showFields);
number();
