// Proposing a term that the vocabulary lacks, in a dialog over the unit's page. The dialog's form
// lives at the address where the answer is saved, plus "propose/".

const SAVED = "Unitscope-Saved";

const panel = document.getElementById("label");
const dialog = document.getElementById("propose-dialog");
const body = document.getElementById("propose-body");
const failed = document.getElementById("propose-failed");

function say(problem) {
  failed.textContent = problem;
  failed.hidden = !problem;
}

document.addEventListener("combobox:propose", async (event) => {
  say("");
  body.replaceChildren();
  dialog.showModal();
  const address = `${panel.dataset.save}propose/?name=${encodeURIComponent(event.detail.name)}`;
  await window.htmx.ajax("GET", address, { source: dialog, target: body, swap: "innerHTML" }).catch(() => {});
  if (!body.firstElementChild) say("A term cannot be proposed just now. Put it in the note.");
  body.querySelector("input")?.focus();
});

// Only an answer with this header comes from the form: a sign-in page must not take its place.
dialog.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.getResponseHeader(SAVED)) return;
  event.detail.shouldSwap = false;
  say("Not sent: you are signed out. Sign in again in another tab, then send it again here.");
});

dialog.addEventListener("htmx:sendError", () => {
  say("Not sent: the server cannot be reached. What you wrote is kept; send it again later.");
});

dialog.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr.getResponseHeader(SAVED) !== "yes") return;
  dialog.close();
  document.getElementById("term-input").value = "";
});
