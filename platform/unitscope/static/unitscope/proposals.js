// Proposing a term that the vocabulary lacks, in a dialog over the unit's page. The dialog's form
// lives at the address where the answer is saved, plus "propose/". Elements are looked up when they
// are needed: a page may bring the next unit in without loading anew.

const SAVED = "Unitscope-Saved";

const get = (id) => document.getElementById(id);
const isOurs = (event) => (event.detail.pathInfo?.requestPath ?? "").includes("/propose/");

function say(problem) {
  get("propose-failed").textContent = problem;
  get("propose-failed").hidden = !problem;
}

document.addEventListener("combobox:propose", async (event) => {
  const body = get("propose-body");
  say("");
  body.replaceChildren();
  get("propose-dialog").showModal();
  const address = `${get("label").dataset.save}propose/?name=${encodeURIComponent(event.detail.name)}`;
  await window.htmx.ajax("GET", address, { source: body, target: body, swap: "innerHTML" }).catch(() => {});
  if (!body.firstElementChild) say("A term cannot be proposed just now. Put it in the note.");
  body.querySelector("input")?.focus();
});

// Only an answer with this header comes from the form: a sign-in page must not take its place.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!isOurs(event) || event.detail.xhr.getResponseHeader(SAVED)) return;
  event.detail.shouldSwap = false;
  say("Not sent: you are signed out. Sign in again in another tab, then send it again here.");
});

document.addEventListener("htmx:sendError", (event) => {
  if (isOurs(event)) say("Not sent: the server cannot be reached. What you wrote is kept; send it again later.");
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (!isOurs(event) || event.detail.xhr.getResponseHeader(SAVED) !== "yes") return;
  get("propose-dialog").close();
  get("term-input").value = "";
});
