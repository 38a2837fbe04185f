// Say that the run has changed, and offer to load the page again: what is being read never changes by itself.
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
