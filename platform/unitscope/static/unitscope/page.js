// What every page needs: dialogs that buttons open, menus that close, and a live CSRF token.

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();

  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// The token of this page goes stale when somebody signs in again in another tab; the cookie does not.
document.addEventListener("htmx:configRequest", (event) => {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  if (cookie) event.detail.headers["X-CSRFToken"] = cookie[1];
});

// Times are shown in the reader's own time zone.
function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const when = new Date(time.dateTime);
    time.textContent = when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    time.title = when.toLocaleString();
    time.dataset.local = "";
  }
}
localTimes(document);
document.addEventListener("htmx:afterSettle", () => localTimes(document));

// A page that shows what a job brings is drawn anew when the job ends. The element that told of it
// has been swapped out by then, so htmx sends the event to the body.
document.addEventListener("job-ended", () => {
  if (document.querySelector("[data-reload-on-job-end]")) location.reload();
});
