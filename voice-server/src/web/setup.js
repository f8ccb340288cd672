// Makes the first admin by the link that the start of the server printed, and signs in.

const element = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token") ?? "";
// The link is worth something until it is used; it should not stay where it can be read.
history.replaceState(null, "", location.pathname);

function complain(text) {
  element("alert").textContent = text;
  element("alert").hidden = !text;
}

element("setup").onsubmit = async (event) => {
  event.preventDefault();
  const [email, name, password] = ["email", "name", "password"].map((id) => element(id).value);
  complain("");
  element("make").disabled = true;
  try {
    const body = JSON.stringify({ token, email, name, password, cookie: true });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch("/api/v1/auth/setup", { method: "POST", headers, body, signal: AbortSignal.timeout(15_000) });
    const answer = await response.json();
    if (response.ok) {
      element("setup").hidden = true;
      element("who").textContent = `${answer.user.email} is the first administrator.`;
      element("done").hidden = false;
    } else {
      complain(`That did not work: ${answer.detail ?? "the server refused"}.`);
    }
  } catch {
    complain("The server does not answer. Check that it runs, then try again.");
  }
  element("make").disabled = false;
};

if (!token) {
  complain("This address lacks the secret of the link. Open the whole link that the start of the server printed.");
  element("make").disabled = true;
}
