// Say that the run has changed, and offer to load the page again: what is being read never changes by itself.
const state = document.querySelector("[data-changes]");
if (state) {
  const source = new EventSource(state.dataset.changes);
  source.addEventListener("changed", () => {
    source.close();
    location.reload();
  });
}
