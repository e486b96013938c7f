// Tells times as the reader's clock has them, and recent ones as how long ago they were.
// The page itself, and the hint of each, has UTC.
"use strict";

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const twoDigits = (n) => String(n).padStart(2, "0");

function localTime(at) {
  return `${at.getFullYear()}-${twoDigits(at.getMonth() + 1)}-${twoDigits(at.getDate())} ${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}:${twoDigits(at.getSeconds())}`;
}

// ago is empty for what is more than a day away.
function ago(at) {
  const seconds = Math.round((Date.now() - at) / 1000);
  if (seconds < 0 || seconds >= 86400) return "";
  if (seconds < 60) return "just now";
  if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), "minute");
  return relative.format(-Math.floor(seconds / 3600), "hour");
}

// showTimes shows the times of a part of the page; it may be called again for the same.
function showTimes(part) {
  for (const time of part.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    if (!time.title) {
      time.title = `${time.textContent.trim().replace(/\s+/g, " ").replace(/ UTC$/, "")} UTC`;
    }
    const text = time.dataset.ago !== undefined && ago(at) || localTime(at);
    if (time.textContent !== text) time.textContent = text;
  }
}

showTimes(document);
setInterval(() => { if (!document.hidden) showTimes(document); }, 20000);
