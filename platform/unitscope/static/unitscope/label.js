// The form on a unit. Every change is put into the outbox at once, one field at a time; the server
// answers with the changed parts of the form (out of band). What still waits is shown as given.
// Listeners are on the document, so that a page may put another unit's form in place.

const NOTE_PAUSE = 700;
const LEAVE_MS = 1500;

const outbox = window.unitscopeOutbox;
const typing = new Map(); // fields with text that is not in the outbox yet, and their timers
let inTheWay = ""; // why answers wait, see outbox.js

const get = (id) => document.getElementById(id);
const panel = () => get("label");
const chips = () => [...panel().querySelectorAll("[data-chosen]")];
const chosen = () => chips().map((chip) => chip.dataset.chosen);
const inPanel = (target) => target.closest("#label");
const caption = (field) => field.closest("label")?.querySelector("span")?.textContent ?? "";

function put(values, question, text, typed = false) {
  const what = `${document.querySelector("h1").textContent}: ${question}`;
  outbox.put({ url: panel().dataset.save, values, what, text, typed });
}

// What a field says ------------------------------------------------------------------------------

function titleOf(field) {
  const words = field.closest("fieldset")?.querySelector("legend") ?? field.labels?.[0];
  return words?.firstChild.textContent.trim() ?? "";
}

function answerOf(field) {
  const { question, kind } = field.dataset;
  if (kind === "text") return field.value;
  const marked = [...panel().querySelectorAll(`[data-question="${CSS.escape(question)}"]:checked`)];
  if (kind === "scale") return Number(field.value);
  if (kind === "choice" || "alone" in field.dataset) return field.checked ? field.value : null;
  return marked.filter((other) => !("alone" in other.dataset)).map((other) => other.value);
}

/** "None of them" and "unsure" stand alone: they clear the others, and the others clear them. */
function clearOthers(field) {
  if (!field.checked) return;
  for (const other of panel().querySelectorAll(`[data-question="${CSS.escape(field.dataset.question)}"]`))
    if (other !== field && ("alone" in field.dataset || "alone" in other.dataset)) other.checked = false;
}

function valuesOf(field) {
  if (!field.dataset.question) return { [field.name]: field.value };
  return { answers: { [field.dataset.question]: answerOf(field) } };
}

function textOf(field) {
  if (field.matches("textarea")) return field.value;
  const answer = field.dataset.question ? answerOf(field) : null;
  return Array.isArray(answer) ? answer.join(", ") : caption(field);
}

// Changes ----------------------------------------------------------------------------------------

function typedEntry(field) {
  const what = `${document.querySelector("h1").textContent}: ${titleOf(field)}`;
  return { url: panel().dataset.save, values: valuesOf(field), what, text: field.value, typed: true };
}

function keepTyping(field) {
  outbox.draft(panel().dataset.save, field.name, typedEntry(field));
  clearTimeout(typing.get(field));
  typing.set(field, setTimeout(() => sendTyped(field), NOTE_PAUSE));
}

function sendTyped(field) {
  if (!typing.has(field)) return;
  clearTimeout(typing.get(field));
  typing.delete(field);
  outbox.put(typedEntry(field));
  outbox.draft(panel().dataset.save, field.name, null);
}

function sendAllTyped() {
  for (const field of typing.keys()) sendTyped(field);
}

function showTerm(code, name) {
  if (chosen().includes(code)) return;
  const chip = document.createElement("li");
  chip.className = "chip suggested";
  chip.dataset.chosen = code;
  chip.textContent = name;
  get("label-terms").append(chip);
}

function hideTerm(code) {
  chips().find((chip) => chip.dataset.chosen === code)?.remove();
}

function addTerm(code, name) {
  if (chosen().includes(code)) return;
  showTerm(code, name);
  put({ add: code, name }, "Add a term", name);
}

function removeTerm(code) {
  const chip = chips().find((other) => other.dataset.chosen === code);
  const name = chip?.firstChild.textContent.trim() ?? code;
  hideTerm(code);
  put({ remove: code }, "Remove a term", name);
}

function undo() {
  sendAllTyped();
  outbox.put({ url: panel().dataset.undo, values: {}, what: "Undo", text: "" });
}

document.addEventListener("change", (event) => {
  const field = event.target;
  if (!inPanel(field)) return;
  if (field.matches("textarea")) sendTyped(field);
  if (!field.matches("[type=radio], [type=checkbox]")) return;
  if (field.dataset.question) clearOthers(field);
  put(valuesOf(field), titleOf(field), textOf(field));
});

document.addEventListener("input", (event) => {
  if (inPanel(event.target) && event.target.matches("textarea")) keepTyping(event.target);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("#label button");
  if (!button) return;
  if (button.id === "label-undo") undo();
  if (button.dataset.remove) {
    removeTerm(button.dataset.remove);
    get("term-input").focus();
  }
  if (button.dataset.term) {
    const { term } = button.dataset;
    if (chosen().includes(term)) removeTerm(term);
    else addTerm(term, button.firstChild.textContent.trim());
  }
});

document.addEventListener("combobox:choose", (event) => {
  if (inPanel(event.target)) addTerm(event.detail.code, event.detail.name);
});
document.addEventListener("combobox:erase", (event) => {
  const last = inPanel(event.target) && chosen().at(-1);
  if (last) removeTerm(last);
});

// What the server says, and what still waits -------------------------------------------------------

function ofPanel(entry) {
  return entry.url === panel()?.dataset.save || entry.url === panel()?.dataset.undo;
}

/** Shows answers that the server does not have yet as its author gave them. */
function showWaiting() {
  for (const { values } of outbox.waiting().filter(ofPanel)) {
    if (values.add) showTerm(values.add, values.name);
    if (values.remove) hideTerm(values.remove);
    for (const name of ["recognisable", "confidence"])
      if (values[name]) panel().querySelector(`[name=${name}][value="${values[name]}"]`).checked = true;
    if ("note" in values) showText(get("label-note"), values.note);
    for (const [key, answer] of Object.entries(values.answers ?? {})) showAnswer(key, answer);
  }
  markRecentTerms();
}

function showAnswer(key, answer) {
  const given = [answer].flat().map(String);
  for (const field of panel().querySelectorAll(`[data-question="${CSS.escape(key)}"]`)) {
    if (field.dataset.kind === "text") showText(field, answer);
    else field.checked = given.includes(field.value) && "alone" in field.dataset === (typeof answer === "string" && field.dataset.kind === "association");
  }
}

function showText(field, text) {
  if (field && field !== document.activeElement && !typing.has(field)) field.value = text;
}

function markRecentTerms() {
  for (const button of panel().querySelectorAll("button[data-term]"))
    button.setAttribute("aria-pressed", chosen().includes(button.dataset.term));
}

function show(state, text) {
  const status = get("save-status");
  status.dataset.state = state;
  if (status.textContent !== text) status.textContent = text;
}

document.addEventListener("outbox:dealt", ({ detail: { entry, saved, html } }) => {
  if (!panel() || !ofPanel(entry)) return;
  if (html.includes("hx-swap-oob")) window.htmx.swap(panel(), html, { swapStyle: "none" });
  showWaiting();
  if (saved) show("saved", `Saved ${new Date().toLocaleTimeString()}`);
  else show("refused", "Not saved");
});

document.addEventListener("outbox:state", ({ detail: { problem } }) => {
  inTheWay = problem;
  if (!panel()) return;
  const mine = outbox.waiting().filter(ofPanel).length;
  if (mine && problem) show("failed", "Kept here, not sent yet");
  else if (mine) show("saving", "Saving…");
});

// Leaving right after an answer: the answer goes first, where that takes no time. Without a
// server there is nowhere to go, so the reader stays with what is on the page.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[href]");
  if (!link || link.target || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
  sendAllTyped();
  if (!outbox.waiting().length) return;
  event.preventDefault();
  await Promise.race([outbox.flush(), new Promise((resolve) => setTimeout(resolve, LEAVE_MS))]);
  if (inTheWay !== "network") location.assign(link.href);
});
window.addEventListener("pagehide", sendAllTyped);

if (panel()) showWaiting();
