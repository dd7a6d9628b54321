// Saving a label. Every change goes into a queue and is sent at once, one after the other, in
// order. What cannot be sent stays in the queue: the page says so, tries again, and lets nobody
// leave it by accident. The server answers with the changed parts of the form (out of band).

const NOTE_PAUSE = 700;
const RETRY_PAUSE = 5000;
const SAVED = "Unitscope-Saved";

const panel = document.getElementById("label");
const queue = [];
let sending = false;
let failed = false;
let noteTimer = null;
let retryTimer = null;
let leaveFor = null;

const get = (id) => document.getElementById(id);
const chosen = () => [...panel.querySelectorAll("[data-chosen]")].map((chip) => chip.dataset.chosen);

function save(values) {
  const last = queue.at(-1);
  const waits = queue.length > (sending ? 1 : 0);
  if ("note" in values && waits && "note" in last.values) last.values = values;
  else queue.push({ url: panel.dataset.save, values });
  pump();
}

async function pump() {
  if (sending) return;
  clearTimeout(retryTimer);
  sending = true;
  while (queue.length) {
    show("saving");
    const problem = await send(queue[0]);
    if (problem) {
      sending = false;
      showProblem(problem);
      return;
    }
    queue.shift();
  }
  sending = false;
  if (leaveFor) location.assign(leaveFor);
}

/** Sends one change; resolves to what went wrong, or to "" when the server has dealt with it. */
function send({ url, values }) {
  return new Promise((resolve) => {
    const finished = (event) => {
      if (event.target !== panel) return;
      panel.removeEventListener("htmx:afterRequest", finished);
      resolve(judge(event.detail.xhr));
    };
    panel.addEventListener("htmx:afterRequest", finished);
    window.htmx.ajax("POST", url, { source: panel, values, swap: "none ignoreTitle:true" }).catch(() => {});
  });
}

function judge(xhr) {
  const saved = xhr.getResponseHeader(SAVED);
  if (saved === "yes") show("saved");
  else if (saved === "refused") {
    show("refused");
    leaveFor = null;
  } else if (xhr.status === 0) return "the server cannot be reached. Your answer is kept on this page.";
  else if (xhr.status === 200 || xhr.status === 403)
    return "you are signed out. Sign in again in another tab, then retry here; your answer is kept on this page.";
  else return `the server answered with an error (${xhr.status}). Your answer is kept on this page.`;
  return "";
}

function show(state) {
  const status = get("save-status");
  const texts = {
    saving: "Saving…",
    saved: `Saved ${new Date().toLocaleTimeString()}`,
    refused: "Not saved",
    failed: "Not saved",
  };
  status.dataset.state = state;
  status.textContent = texts[state];
  failed = state === "failed";
  get("save-failed").hidden = !failed;
  for (const button of panel.querySelectorAll("button[data-term]"))
    button.setAttribute("aria-pressed", chosen().includes(button.dataset.term));
}

function showProblem(problem) {
  show("failed");
  leaveFor = null;
  get("save-failed-text").textContent = `Not saved: ${problem}`;
  retryTimer = setTimeout(pump, RETRY_PAUSE);
}

function sendNote() {
  if (noteTimer === null) return;
  clearTimeout(noteTimer);
  noteTimer = null;
  save({ note: get("label-note").value });
}

function addTerm(code, name) {
  if (chosen().includes(code)) return;
  const chip = document.createElement("li");
  chip.className = "chip suggested";
  chip.dataset.chosen = code;
  chip.textContent = name;
  get("label-terms").append(chip);
  save({ add: code });
}

function removeTerm(code) {
  panel.querySelector(`[data-chosen="${CSS.escape(code)}"]`)?.remove();
  save({ remove: code });
}

panel.addEventListener("change", (event) => {
  const field = event.target;
  if (field.type === "radio") save({ [field.name]: field.value });
  if (field.name === "note") sendNote();
});

panel.addEventListener("input", (event) => {
  if (event.target.name !== "note") return;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(sendNote, NOTE_PAUSE);
});

panel.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.id === "save-retry") pump();
  if (button.id === "label-undo") {
    sendNote();
    queue.push({ url: panel.dataset.undo, values: {} });
    pump();
  }
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

panel.addEventListener("combobox:choose", (event) => addTerm(event.detail.code, event.detail.name));
panel.addEventListener("combobox:erase", () => {
  const last = chosen().at(-1);
  if (last) removeTerm(last);
});

// Leaving right after an answer: the answer goes first.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || link.target || event.ctrlKey || event.metaKey || event.shiftKey) return;
  sendNote();
  if (!queue.length) return;
  event.preventDefault();
  leaveFor = link.href;
  if (failed) pump();
});

window.addEventListener("beforeunload", (event) => {
  if (queue.length && !leaveFor) event.preventDefault();
  if (noteTimer !== null) event.preventDefault();
});
window.addEventListener("online", () => {
  if (failed) pump();
});
