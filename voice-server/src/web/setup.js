// Makes the first admin by the link that the start of the server printed.

const element = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token") ?? "";
// The link is worth something until it is used; it should not stay where it can be read.
history.replaceState(null, "", location.pathname);

element("setup").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [email, name, password] = ["email", "name", "password"].map((id) => element(id).value);
  element("alert").textContent = "";
  element("make").disabled = true;
  try {
    const response = await fetch("/api/v1/auth/setup", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token, email, name, password }),
      signal: AbortSignal.timeout(15_000),
    });
    const answer = await response.json();
    if (response.ok) {
      element("setup").hidden = true;
      element("done").textContent = `${answer.user.email} is the first admin, and may sign in now.`;
      return;
    }
    element("alert").textContent = answer.detail ?? "The server refused.";
  } catch {
    element("alert").textContent = "The server does not answer; try again.";
  }
  element("make").disabled = false;
});
