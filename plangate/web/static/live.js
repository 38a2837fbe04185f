// Show that the run has changed, and offer to reload: a page never changes while a person reads it.
const state = document.querySelector("[data-changes]");
const changed = document.querySelector("[data-changed]");
if (state && changed) {
  const source = new EventSource(state.dataset.changes);
  source.addEventListener("changed", () => {
    source.close();
    if (document.querySelector(".bar")) changed.hidden = false;
    else location.reload();
  });
  source.addEventListener("ended", () => source.close());
}
