/** The texts of --help. Not the documentation: docs/ says why, this says how. */
import type { Topic } from "./command-line.ts";

const ALL = `postern-connector: carries approved traffic from your Postern edge to private apps

Usage: postern-connector COMMAND [options]

  enroll URL   make a key and bind this machine to a site, with a one-time token
  run          hold the tunnel to the edge (in the foreground)
  status       ask the running connector how it is
  install      install (or --print) a hardened systemd unit

Every command takes --state DIR, --json and --help.
State: --state, else $STATE_DIRECTORY, else ~/.local/state/postern-connector
Exit: 0 done, 1 refused or failed, 2 wrong usage
`;

const ENROLL = `Usage: postern-connector enroll URL --token-file FILE (--allow HOST:PORT... | --allow-site-config)

Makes an Ed25519 key that never leaves this machine and registers it with the edge.
Get a token with: postern enroll-token SITE

  --token-file FILE      file with the one-time token; "-" reads stdin (or POSTERN_TOKEN_FILE)
  --allow HOST:PORT      this connector may dial this place; repeatable. Loopback, link-local and
                         metadata addresses only if literally named
  --allow-site-config    dial whatever the site's signed configuration names
  --name NAME            shown to operators; default this machine's host name
  --ca FILE              further certificate authorities for the edge (PEM)
  --edge URL             the same as URL (or POSTERN_EDGE)
  --replace              overwrite an earlier enrolment in the same state directory
  --state DIR  --json  --help

Proxies: HTTPS_PROXY and NO_PROXY are used.
`;

const RUN = `Usage: postern-connector run [--state DIR] [--metrics-port PORT] [--ca FILE] [--target APP=FILE...]
                             [--canary HOST:PORT]

Holds one WebSocket to the edge per lane, outbound only. Logs JSON lines on stderr; prints one
line {"event":"listening","metrics":"http://127.0.0.1:PORT"} on stdout.
SIGTERM and SIGINT drain: no new streams, open ones have 30 s to finish.

  --metrics-port PORT    for /metrics, /healthz and /ready on 127.0.0.1; default 0, any free one
  --ca FILE              further certificate authorities for the edge (PEM)
  --target APP=FILE      what APP is: a JSON file with version, digest, critical, high, observed_at,
                         or a CycloneDX SBOM as JSON; repeatable, read again when it changes
  --canary HOST:PORT     on loopback, for "postern drill": an app of this connector's own that writes
                         test bytes in every protocol; the connector may dial it. Off by default
  --state DIR  --json  --help
`;

const STATUS = `Usage: postern-connector status [--state DIR] [--json]
       postern-connector status --endorse KEY [--sign-with FILE --edge URL --site SITE]

Exits 0 if every lane is welcomed by the edge, 1 otherwise. Shows this connector's public key and
its fingerprint, which agents show at their first use of the site.

  --endorse KEY          print this connector's signed word for another connector's public KEY.
                         Put it as a line into the file "endorsements" of that connector's state
                         directory: agents that know this one then accept that one
  --sign-with FILE       sign with the team's offline Ed25519 key (PEM) instead, anywhere
  --edge URL, --site ID  what the offline key's word is for
  --state DIR  --json  --help
`;

const INSTALL = `Usage: postern-connector install [--state DIR] [--ca FILE] [--canary HOST:PORT] [--print]

Writes /etc/systemd/system/postern-connector.service, enables and starts it.

  --print                only print the unit
  --canary HOST:PORT     as for run, written into the unit
  --state DIR  --ca FILE  --json  --help
`;

/** The help text of a command. */
export function helpText(topic: Topic): string {
  switch (topic) {
    case "all":
      return ALL;
    case "enroll":
      return ENROLL;
    case "run":
      return RUN;
    case "status":
      return STATUS;
    case "install":
      return INSTALL;
    default:
      return topic satisfies never;
  }
}
