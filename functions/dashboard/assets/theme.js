// Sets the colours that somebody has chosen before anything is painted; the button in
// the page's head goes through them. Without a choice, or script, the system's hold.
"use strict";

const themes = { "": "◐ system", light: "☀ light", dark: "☾ dark" };

function chosenTheme() {
  try { return localStorage.getItem("theme") || ""; } catch { return ""; }
}

function setTheme(theme) {
  document.documentElement.style.colorScheme = theme in themes ? theme : "";
  const button = document.getElementById("theme");
  if (!button) return;
  button.hidden = false;
  button.textContent = themes[theme] ?? themes[""];
}

setTheme(chosenTheme());
document.addEventListener("DOMContentLoaded", () => {
  setTheme(chosenTheme());
  document.getElementById("theme")?.addEventListener("click", () => {
    const names = Object.keys(themes);
    const next = names[(names.indexOf(chosenTheme()) + 1) % names.length];
    try { localStorage.setItem("theme", next); } catch { /* it holds for this page */ }
    setTheme(next);
  });
});
