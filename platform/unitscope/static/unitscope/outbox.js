// Answers on their way to the server. Each one is kept in this browser, under its author's id,
// until the server has said that it is saved; so it outlives a lost network, a server that is
// down, an expired session, another page and a crash. They are sent oldest first, by one tab at a
// time, and never as another person. What the server refuses stays, with the reason, until its
// author discards it.
//
// Other scripts use window.unitscopeOutbox (see the end), and hear on document:
//   outbox:dealt  {entry, saved, html, reason}   the server has answered for an entry
//   outbox:state  {waiting, problem}             after every change

const HEADERS = { saved: "Unitscope-Saved", reason: "Unitscope-Reason", user: "Unitscope-User", mark: "Unitscope-Mark" };
const ANSWER_MS = 20_000;
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 60_000;
const PROBLEMS = {
  network: "The server cannot be reached. It is tried again by itself.",
  server: "The server answers with an error. It is tried again by itself.",
  "signed-out": "You are signed out. Sign in again and they are sent.",
  "other-user": "Somebody else is signed in now. They are sent when you sign in again.",
};

const bar = document.getElementById("outbox");
const user = bar?.dataset.user;
const ENTRIES = `unitscope.outbox.${user}.`;
const DRAFTS = `unitscope.draft.${user}.`;
const memory = new Map(); // what the browser has no room for

let problem = "";
let pause = FIRST_PAUSE;
let timer = null;
let running = null;

const get = (id) => document.getElementById(id);

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    memory.delete(key);
  } catch {
    memory.set(key, value);
  }
}

function read(key) {
  const stored = localStorage.getItem(key);
  return stored === null ? (memory.get(key) ?? null) : JSON.parse(stored);
}

function erase(key) {
  localStorage.removeItem(key);
  memory.delete(key);
}

function all(prefix) {
  const keys = new Set([...Object.keys(localStorage), ...memory.keys()]);
  const found = [...keys].filter((key) => key.startsWith(prefix)).sort().map((key) => ({ key, ...read(key) }));
  return found.filter((entry) => entry.url); // another tab may have dealt with one just now
}

const entries = () => all(ENTRIES);
const waiting = (url) => entries().filter((entry) => !entry.reason && (!url || entry.url === url));
const refused = () => entries().filter((entry) => entry.reason);

function newKey() {
  const last = entries().at(-1)?.key.slice(ENTRIES.length).split("-")[0] ?? "0";
  const moment = Math.max(Date.now(), Number(last) + 1);
  return `${ENTRIES}${String(moment).padStart(15, "0")}-${Math.random().toString(36).slice(2, 10)}`;
}

/** Keeps an answer and sends it. `typed` text replaces the same text where that still waits last. */
function put({ url, values, what, text, typed = false }) {
  const last = waiting(url).at(-1);
  const key = newKey();
  write(key, { url, values, what, text, typed, place: location.pathname + location.search });
  if (typed && last?.typed && last.what === what) erase(last.key);
  return flush();
}

/** Keeps text while it is being typed; null forgets it. */
function draft(url, name, entry) {
  if (entry) write(`${DRAFTS}${url}#${name}`, entry);
  else erase(`${DRAFTS}${url}#${name}`);
}

/** Text that a page left before it was sent becomes an answer. */
function sendDrafts() {
  for (const { key, ...entry } of all(DRAFTS)) {
    put(entry);
    erase(key);
  }
}

/** Sends what waits; resolves when all is dealt with or something is in the way. */
function flush() {
  running ??= exclusively(sendAll)
    .catch(() => tryLater("server"))
    .then(() => {
      running = null;
      report();
      if (waiting().length && !timer) return flush(); // given while the last one was being settled
    });
  return running;
}

function tryLater(why) {
  problem = why;
  timer = setTimeout(flush, pause);
  pause = Math.min(pause * 2, LONGEST_PAUSE);
}

function exclusively(work) {
  return navigator.locks ? navigator.locks.request(`${ENTRIES}sending`, work) : work();
}

async function sendAll() {
  clearTimeout(timer);
  timer = null;
  report();
  for (let entry = waiting()[0]; entry; entry = waiting()[0]) {
    const answer = await send(entry);
    if (answer.problem) return tryLater(answer.problem);
    problem = "";
    pause = FIRST_PAUSE;
    settle(entry, answer);
  }
  problem = "";
}

async function send(entry) {
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(entry.values))
    body.set(name, typeof value === "object" ? JSON.stringify(value) : value);
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
  const headers = { "X-CSRFToken": token, [HEADERS.user]: user, [HEADERS.mark]: entry.key.slice(ENTRIES.length) };
  const options = { method: "POST", body, headers, redirect: "manual", keepalive: true, signal: AbortSignal.timeout(ANSWER_MS) };
  try {
    const response = await fetch(entry.url, options);
    return { ...judge(response), html: await response.text() };
  } catch {
    return { problem: "network" };
  }
}

function judge(response) {
  const saved = response.headers.get(HEADERS.saved);
  const reason = decodeURIComponent(response.headers.get(HEADERS.reason) ?? "");
  if (saved === "yes") return { saved: true };
  if (saved === "refused") return { saved: false, reason };
  if (saved === "other-user") return { problem: "other-user" };
  const gone = [400, 404, 410, 413, 422].includes(response.status);
  if (gone) return { saved: false, reason: `The server does not take it (${response.status}).` };
  if (response.type === "opaqueredirect" || [200, 401, 403].includes(response.status)) return { problem: "signed-out" };
  return { problem: "server" };
}

function settle(entry, { saved, reason, html }) {
  const { key, ...content } = entry;
  if (saved || !entry.text) erase(key);
  else if (read(key)) write(key, { ...content, reason });
  document.dispatchEvent(new CustomEvent("outbox:dealt", { detail: { entry, saved, html, reason } }));
}

function report() {
  const count = waiting().length;
  const kept = refused();
  if (!count) problem = "";
  const stuck = count > 0 && problem !== "";
  bar.hidden = !stuck && !kept.length;
  get("outbox-waiting").hidden = !stuck;
  const said = stuck ? `${count} answer${count === 1 ? " waits" : "s wait"} to be sent. ${PROBLEMS[problem]} ${where()}` : "";
  get("outbox-text").textContent = said;
  tell(kept.length ? `${said} ${kept.length} refused: see the top of the page.` : said);
  get("outbox-sign-in").hidden = !["signed-out", "other-user"].includes(problem);
  listRefused(kept);
  document.dispatchEvent(new CustomEvent("outbox:state", { detail: { waiting: count, problem } }));
}

function tell(words) {
  if (get("outbox-said").textContent !== words) get("outbox-said").textContent = words;
}

function where() {
  return memory.size ? "This browser has no room to keep them: leave this page open." : "They are kept in this browser.";
}

function listRefused(kept) {
  const list = get("outbox-refused");
  const keys = kept.map((entry) => entry.key).join();
  if (list.dataset.keys === keys) return;
  list.dataset.keys = keys;
  list.replaceChildren(...kept.map(refusedRow));
}

function refusedRow(entry) {
  const row = get("outbox-refused-row").content.firstElementChild.cloneNode(true);
  const link = row.querySelector("a");
  link.href = entry.place;
  link.textContent = entry.what;
  row.querySelector("[data-text]").textContent = entry.text;
  row.querySelector("[data-reason]").textContent = entry.reason;
  row.querySelector("[data-copy]").addEventListener("click", (event) => copy(event.target, row.querySelector("[data-text]")));
  row.querySelector("[data-discard]").addEventListener("click", () => {
    erase(entry.key);
    report();
  });
  return row;
}

async function copy(button, source) {
  getSelection().selectAllChildren(source);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Selected: copy it with Ctrl+C";
  }
}

function tryNow() {
  pause = FIRST_PAUSE;
  if (waiting().length) flush();
}

if (bar) {
  window.unitscopeOutbox = { put, draft, waiting, flush };
  get("outbox-send").addEventListener("click", tryNow);
  for (const moment of ["online", "focus", "pageshow"]) window.addEventListener(moment, tryNow);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) tryNow();
  });
  window.addEventListener("storage", (event) => {
    if (event.key?.startsWith(ENTRIES)) report();
  });
  window.addEventListener("beforeunload", (event) => {
    if (memory.size) event.preventDefault();
  });
  sendDrafts();
  report();
  tryNow();
}
