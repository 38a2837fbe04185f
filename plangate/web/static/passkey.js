// Perform the passkey ceremonies: sign a decision or register a passkey, then send the form.
// The page contains the messages. The browser's result goes into a hidden field of the same form.
const bytes = (text) => {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
};
const text = (buffer) =>
  btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(""))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const listed = (known) => known.map((one) => ({ ...one, id: bytes(one.id) }));
const usable = Boolean(window.PublicKeyCredential && navigator.credentials);

async function signed(options) {
  const publicKey = {
    ...options, challenge: bytes(options.challenge), allowCredentials: listed(options.allowCredentials),
  };
  const made = await navigator.credentials.get({ publicKey });
  return {
    id: made.id,
    type: made.type,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      authenticatorData: text(made.response.authenticatorData),
      signature: text(made.response.signature),
    },
  };
}

async function created(options) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: listed(options.excludeCredentials),
  };
  const made = await navigator.credentials.create({ publicKey });
  return {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
    },
  };
}

for (const form of document.querySelectorAll("form[data-sign], form[data-register]")) {
  const field = form.querySelector("input[name=credential]");
  const fault = form.querySelector("[data-passkey-fault]");
  const button = form.querySelector("button:not([type=button])");
  let isAsked = false;
  form.addEventListener("submit", async (event) => {
    if (field.value) return;
    event.preventDefault();
    if (isAsked) return;
    isAsked = true;
    fault.hidden = true;
    try {
      const { sign, register } = form.dataset;
      const made = sign ? await signed(JSON.parse(sign)) : await created(JSON.parse(register));
      field.value = JSON.stringify(made);
      form.submit();
    } catch (error) {
      fault.hidden = false;
      fault.textContent = error.name === "InvalidStateError" ? fault.dataset.known : fault.dataset.fault;
      button.focus();
    } finally {
      isAsked = false;
    }
  });
}

// Show, above the plan, that no passkey can be used here.
for (const warning of document.querySelectorAll("[data-without-passkeys]")) {
  if (!usable) warning.hidden = false;
}

// Links that open the page outside another app's browser; they do not contain the session.
for (const link of document.querySelectorAll("a[data-open-in-browser]")) {
  const { protocol, host, pathname, href } = new URL(link.href);
  if (/Android/.test(navigator.userAgent)) {
    const scheme = protocol.replace(":", "");
    link.href = `intent://${host}${pathname}#Intent;scheme=${scheme};action=android.intent.action.VIEW;end`;
  } else if (/iPhone|iPad/.test(navigator.userAgent)) {
    link.href = `x-safari-${href}`;
  }
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.copied;
  });
}
