// What a page does by itself: it fills in as sources answer, empties itself when the time is up, and is no journal to
// copy from. Nothing is kept in the browser.
(() => {
  "use strict";
  const body = document.body;
  const idleSeconds = Number(body.dataset.idle || 0);
  const warnSeconds = Number(body.dataset.warn || 0);
  const gone = () => {
    body.replaceChildren();
    location.replace("/timed-out");
  };

  // A page that the browser has kept must not be seen again.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) { body.replaceChildren(); location.reload(); }
  });

  if (idleSeconds) {
    let began = Date.now();
    const warning = document.getElementById("idle");
    document.getElementById("stay").addEventListener("click", async () => {
      const form = new URLSearchParams({ csrf: body.dataset.csrf });
      try {
        const answer = await fetch("/stay", { method: "POST", body: form, cache: "no-store", redirect: "manual" });
        if (answer.status !== 204) { gone(); return; }
        began = Date.now();
        warning.hidden = true;
      } catch { gone(); }
    });
    setInterval(() => {
      const passed = (Date.now() - began) / 1000;
      if (passed >= idleSeconds) { gone(); return; }
      if (passed >= warnSeconds && warning.hidden) {
        warning.hidden = false;
        document.getElementById("stay").focus();
      }
    }, 250);
    for (const kind of ["copy", "cut", "dragstart"]) {
      document.addEventListener(kind, (event) => {
        if (event.target.closest && event.target.closest("#fill")) { event.preventDefault(); }
      });
    }
  }

  const place = document.getElementById("fill");
  if (!place) { return; }

  // Only sections that have changed are put in, so that the place of reading, and what is being typed, stay.
  const put = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html").querySelector(".fill");
    const now = place.querySelector(".fill");
    if (!next || !now) { return false; }
    for (const fresh of next.children) {
      const old = fresh.id && document.getElementById(fresh.id);
      if (!old) { now.replaceChildren(...next.childNodes); break; }
      if (old.outerHTML !== fresh.outerHTML && !old.contains(document.activeElement.closest("input, select") || null)) {
        const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
        const open = [...old.querySelectorAll("details[open] > summary")].map((one) => one.id);
        old.replaceWith(document.adoptNode(fresh.cloneNode(true)));
        for (const id of open) { document.getElementById(id)?.parentElement.setAttribute("open", ""); }
        if (focused) { document.getElementById(focused)?.focus(); }
      }
    }
    return next.dataset.done === "yes";
  };
  let pause = 300;
  const ask = async () => {
    try {
      const answer = await fetch(place.dataset.fill, { cache: "no-store", redirect: "manual" });
      if (answer.status !== 200) { gone(); return; }
      if (put(await answer.text())) { place.dataset.filled = "yes"; return; }
      pause = Math.min(pause * 1.2, 1500);
    } catch { pause = 3000; }
    setTimeout(ask, pause);
  };
  if (place.querySelector(".fill").dataset.done === "yes") { place.dataset.filled = "yes"; } else { setTimeout(ask, pause); }
})();
