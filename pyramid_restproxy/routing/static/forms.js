/* Sends forms marked data-rest with the method they mean, instead of tunnelling it
   through POST. Without this script the same forms work through the override.

   data-rest             take this form over
   data-rest-confirm     a question to ask first
   data-rest-remove      a selector: remove the closest such element on success
   Events on the form (they bubble): rest:done, rest:failed, detail.response. */
(() => {
  "use strict";

  const FIELD = "_method";

  const request = (form, submitter) => {
    const data = new FormData(form, submitter);
    const method = (data.get(FIELD) || form.method || "post").toUpperCase();
    const token = data.get("csrf_token");
    data.delete(FIELD);
    const options = {
      method,
      credentials: "same-origin",
      headers: { Accept: "text/html, */*;q=0.1" },
    };
    if (token) options.headers["X-CSRF-Token"] = token;
    if (method !== "DELETE") {
      const multipart = form.enctype === "multipart/form-data";
      options.body = multipart ? data : new URLSearchParams(data);
    }
    return [form.action, options];
  };

  const tell = (form, text) => {
    let note = form.querySelector("[role=alert]");
    if (!note) {
      note = document.createElement("p");
      note.setAttribute("role", "alert");
      form.append(note);
    }
    note.textContent = text;
  };

  // What the page says that the server would have shown, else the status.
  const reason = async (response) => {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const said = page.querySelector("[role=alert]");
    return said ? said.textContent.trim() : `${response.status} ${response.statusText}`;
  };

  const announce = (form, name, response) =>
    form.dispatchEvent(
      new CustomEvent(name, { bubbles: true, cancelable: true, detail: { response } })
    );

  const finish = (form, response) => {
    if (!announce(form, "rest:done", response)) return;
    const gone = form.dataset.restRemove && form.closest(form.dataset.restRemove);
    if (gone) gone.remove();
    else if (response.redirected) location.assign(response.url);
    else location.reload();
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || !form.matches("form[data-rest]")) return;
    event.preventDefault();
    const question = form.dataset.restConfirm;
    if (question && !window.confirm(question)) return;
    const buttons = form.querySelectorAll("button, input[type=submit]");
    const [url, options] = request(form, event.submitter);
    buttons.forEach((button) => (button.disabled = true));
    try {
      const response = await fetch(url, options);
      if (response.ok) finish(form, response);
      else if (announce(form, "rest:failed", response))
        tell(form, await reason(response));
    } catch {
      tell(form, "The server could not be reached.");
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  });
})();
