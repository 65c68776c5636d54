/**
 * All criteria by the name they have in the document. Adding one is a file in criteria/, a line
 * here, its value in when.ts and a row in LANGUAGE.md.
 */
import { anyone } from "./criteria/anyone.ts";
import { country } from "./criteria/country.ts";
import { device } from "./criteria/device.ts";
import { emailDomain } from "./criteria/email-domain.ts";
import { email } from "./criteria/email.ts";
import { grant } from "./criteria/grant.ts";
import { group } from "./criteria/group.ts";
import { ipRange } from "./criteria/ip-range.ts";
import { mfa } from "./criteria/mfa.ts";
import { provider } from "./criteria/provider.ts";
import { riskReason } from "./criteria/risk-reason.ts";
import { risk } from "./criteria/risk.ts";
import { service } from "./criteria/service.ts";
import { sessionAge } from "./criteria/session-age.ts";
import { target } from "./criteria/target.ts";
import { timeWindow } from "./criteria/time-window.ts";
import { user } from "./criteria/user.ts";
import type { Criterion } from "./criterion.ts";
import type { CriterionName } from "./when.ts";

export const CRITERIA: { readonly [N in CriterionName]: Criterion<N> } = {
  user,
  email,
  email_domain: emailDomain,
  group,
  provider,
  service,
  country,
  ip_range: ipRange,
  mfa,
  session_age: sessionAge,
  time_window: timeWindow,
  device,
  risk,
  risk_reason: riskReason,
  grant,
  target,
  anyone,
};

export const CRITERION_NAMES = Object.keys(CRITERIA) as readonly CriterionName[];
