// What a link from a mail carries is in the address's fragment, which browsers never send: it goes to the API from here.
"use strict";
(() => {
  const words = JSON.parse(document.body.dataset.words || "{}");
  const t = (text) => words[text] || text;
  const KINDS = {
    email: ["Is this address yours?", "/v1/register/email", "Your address is verified.", "/verify"],
    guardian: ["Do you agree as a guardian?", "/v1/guardian", "Thank you. You agreed, and your address is forgotten."],
    password: ["Set a new password", "/v1/password/reset", "Your password is set. Please log in with it.", "/login"],
    invitation: ["Join the account", "/v1/invitations/accept", "Nearly done: we sent a code to your phone.", "/verify"],
    contact_email: ["Send warnings to this address?", "/v1/contacts/confirm", "Warnings go to it from now on.", "/"],
  };
  const REGISTRATION = "itsminer-registration"; // as in forms.js
  const find = (id) => document.getElementById(id);
  const match = /^#([a-z_]+)=([^&]+)$/.exec(location.hash);
  const kind = match && KINDS[match[1]] ? match[1] : null;
  history.replaceState(null, "", location.pathname); // the token is in no history
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.split(" ").includes(kind);
  if (!kind) return;
  const [title, path, done, next] = KINDS[kind];
  find("title").textContent = t(title);
  find("why").textContent = "";
  find("send").hidden = false;
  find("registration").value = localStorage.getItem(REGISTRATION) || "";
  find("own-registration").hidden = Boolean(find("registration").value) || kind !== "email";

  function body() {
    const sent = { token: match[2] };
    if (kind === "email") sent.registration = find("registration").value.trim();
    if (kind === "password" || kind === "invitation") sent.password = find("password").value;
    if (kind === "invitation") {
      sent.email = find("email").value.trim();
      sent.phone = find("phone").value;
      sent.birth_date = find("birth").value;
      if (find("guardian").value) sent.guardian_email = find("guardian").value.trim();
    }
    return sent;
  }

  function say(text) {
    find("said").textContent = text;
    find("said").hidden = false;
  }

  find("confirm").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body()),
      });
      const told = answer.status === 204 ? {} : await answer.json();
      if (!answer.ok) return say(told.detail);
      if (told.registration) localStorage.setItem(REGISTRATION, told.registration);
      if (told.active) localStorage.removeItem(REGISTRATION);
      const waits = (told.waiting_for || []).join(", ");
      say(t(done) + (told.active ? " " + t("You can log in now.") : waits ? " " + t("Still to verify: ") + waits + "." : ""));
      find("next").href = told.active ? "/login" : next;
      find("next").textContent = find("next").getAttribute("href") === "/login" ? t("Log in") : t("Go on");
      find("next").hidden = !next;
      find("send").hidden = true;
    } catch {
      say(t("The server cannot be reached. Please try again."));
    }
  });
})();
