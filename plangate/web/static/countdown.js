// Count down the seconds until a time that is less than a day away; the time itself is shown next to it.
const DAY = 24 * 60 * 60;
for (const span of document.querySelectorAll("[data-countdown]")) {
  const until = new Date(span.dataset.countdown).getTime();
  const draw = () => {
    const left = Math.max(0, Math.round((until - Date.now()) / 1000));
    const parts = { hours: Math.floor(left / 3600), minutes: Math.floor(left / 60) % 60, seconds: left % 60 };
    const words = parts.hours ? span.dataset.hours : span.dataset.minutes;
    if (left < DAY) span.textContent = words.replace(/\{(\w+)\}/g, (_, name) => parts[name]);
    if (left === 0) clearInterval(ticking);
  };
  const ticking = setInterval(draw, 1000);
  draw();
}
