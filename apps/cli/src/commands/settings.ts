/** Settings that every command about a local network has. */
export const networkSettings = {
  dir: { kind: 'text', help: 'folder of the local network', default: '.cumulus' },
  json: { kind: 'flag', help: 'print JSON', default: false },
} as const
