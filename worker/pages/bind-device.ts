/** The question before a browser counts as a device: for the link of `postern posture --open`. A GET changes nothing, the button POSTs. */
import { markup, safeHref } from "./markup.ts";
import { frame } from "./layout.ts";

export interface BindDeviceModel {
  readonly actionUrl: string;
  readonly user: string;
  readonly device: string;
  readonly code: string;
}

/** The question as HTML text; without a model, the answer. */
export function bindDevicePage(model?: BindDeviceModel): string {
  const body =
    model === undefined
      ? markup`<h1>This browser counts as your device</h1><p>You can close this page.</p>`
      : markup`<h1>Is this browser on your device?</h1><p>Then what that says of itself counts here, for <b>${model.user}</b>. Go on only if you opened this page there yourself, just now.</p><form class="form" method="post" action="${safeHref(model.actionUrl) ?? ""}"><input type="hidden" name="device" value="${model.device}"><input type="hidden" name="code" value="${model.code}"><div class="actions"><button class="button primary" type="submit">It is</button></div></form>`;
  return frame({ title: "Your device", body: markup`<section class="card">${body}</section>` });
}
