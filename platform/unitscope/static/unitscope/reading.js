// The work page of a reading list. While one unit is read, the page of the next one is fetched and
// its pictures are loaded; Enter then puts it in place without waiting for the network.

const RETRY_PAUSE = 3000;
const FLUSH_MS = 1500;

const root = document.getElementById("reading");
const get = (id) => document.getElementById(id);
let ahead = null; // promise of the next page, or of null where nothing comes after
let leaving = Promise.resolve(); // the report on the unit that was left last
let busy = false;
let left = false;

// Seconds that the page has been in view.
let seconds = 0;
let since = document.hidden ? null : performance.now();

function countTime() {
  if (since !== null) seconds += (performance.now() - since) / 1000;
  since = document.hidden ? null : performance.now();
  return seconds;
}
document.addEventListener("visibilitychange", countTime);

function showProblem(text) {
  get("reading-problem").textContent = text;
  get("reading-problem").hidden = !text;
}

function request(url, values, options = {}) {
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
  const headers = { "X-CSRFToken": token };
  return fetch(url, { method: "POST", headers, body: new URLSearchParams(values), ...options });
}

/** Sends until the server has answered: nothing is lost while it is away. */
async function send(url, values = {}) {
  for (;;) {
    const response = await request(url, values).catch(() => null);
    const signedOut = response && (response.redirected || response.status === 403);
    if (response && !signedOut && response.status < 500) {
      showProblem("");
      return response;
    }
    showProblem(
      signedOut
        ? "You are signed out. Sign in again in another tab; this page then goes on by itself."
        : "The server cannot be reached. Your answers are kept; the next unit comes once it is back.",
    );
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE));
  }
}

function lookAhead() {
  const { ahead: url } = root.dataset;
  ahead = leaving.then(() => send(url)).then(async (response) => {
    if (response.status !== 200) return null;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    return { address: response.headers.get("Unitscope-Address"), page, pictures: load(page) };
  });
}

/** Loads the pictures of a page that the reader's look shows; the images keep them alive. */
function load(page) {
  const { style, view } = document.documentElement.dataset;
  const wanted = [...page.querySelectorAll("button.tile img")].filter(
    (image) => image.getAttribute("loading") !== "lazy" || image.matches(`.tile-image, .${style}`),
  );
  return wanted.map((image) => {
    image.loading = "eager";
    const picture = new Image();
    picture.fetchPriority = image.closest(`.view-${view}`) ? "high" : "low";
    picture.src = image.getAttribute("src");
    return picture;
  });
}

async function leave(how) {
  if (busy) return;
  busy = true;
  document.activeElement?.blur(); // a note that is being typed is sent by this
  root.setAttribute("aria-busy", "true");
  const { mine } = root.dataset;
  leaving = report(root.dataset.leave, { how, seconds: countTime() });
  const next = await ahead;
  if (next) put(next);
  else {
    left = true;
    await leaving;
    location.assign(mine);
  }
  busy = false;
}

/** Says how a unit was left, once its answer has gone or cannot go now. */
async function report(url, values) {
  const pause = new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
  await Promise.race([window.unitscopeOutbox.flush(), pause]);
  const response = await send(url, values);
  const { state } = response.ok ? await response.json() : {};
  const putOff = state === "skipped";
  get("reading-status").textContent = putOff ? "Put off: the unit before comes back at the end." : "";
}

function put({ address, page }) {
  const next = page.getElementById("reading");
  root.replaceChildren(...next.childNodes);
  Object.assign(root.dataset, next.dataset);
  root.removeAttribute("aria-busy");
  document.title = page.title;
  history.pushState(null, "", address);
  // Other scripts take up what is new as if htmx had brought it.
  window.htmx.process(root);
  for (const event of ["htmx:load", "htmx:afterSettle"]) window.htmx.trigger(root, event);
  get("reading-title").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  seconds = 0;
  since = document.hidden ? null : performance.now();
  lookAhead();
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-leave-how]");
  if (button) leave(button.dataset.leaveHow);
});

window.addEventListener("popstate", () => location.reload());
window.addEventListener("pagehide", () => {
  if (left) return;
  request(root.dataset.leave, { how: "pause", seconds: countTime() }, { keepalive: true }).catch(() => {});
  seconds = 0;
});

lookAhead();
