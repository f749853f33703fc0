import { readFileSync } from 'node:fs'
import { command } from '../command.ts'

/** Version of the package, as npm knows it. */
export function cumulusVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

export const version = command({
  name: 'version',
  summary: 'Shows the versions of cumulus and of the Node.js it runs on.',
  settings: { json: { kind: 'flag', help: 'print JSON', default: false } },
  async run({ settings }) {
    const facts = { cumulus: cumulusVersion(), node: process.version, platform: `${process.platform}-${process.arch}` }
    console.log(
      settings.json ? JSON.stringify(facts) : `cumulus ${facts.cumulus} on Node.js ${facts.node}, ${facts.platform}`,
    )
    return 0
  },
})
