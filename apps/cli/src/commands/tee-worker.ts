import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { ChainError } from '@cumulus/chain'
import { accountSettings, openAccount } from '../chain-access.ts'
import { CliError, command } from '../command.ts'
import { NetworkFolder } from '../network-folder.ts'
import { isRunning } from '../processes.ts'

/** What belongs to one key: moved away together, since records of one key say nothing of another. */
const KEY_FILES = ['tagger.sealed', 'powers', 'records', 'peer.key']

export const rotate = command({
  name: 'tee-worker rotate',
  summary: 'Gives a TEE worker another key: step by step, as the chain allows.',
  about: [
    'A key that has tagged groups is given up in two steps. First the worker leaves: it gets no new group, and serves its own for',
    'one more era, so keep it running. Then, with the process stopped, run this again: the worker is taken off the register, its',
    'old key is put aside, and at the next start it makes another one. What the old key has tagged is then tagged anew by',
    'whoever gets those groups. To tag on without a gap, run a second worker with an account of its own meanwhile.',
  ].join('\n'),
  settings: { ...accountSettings, state: { kind: 'text', help: 'folder of the worker, with --key-file' } },
  examples: ['cumulus tee-worker rotate', 'cumulus tee-worker rotate --key-file tee.key --state /data/tee'],
  async run({ settings, signal }) {
    const { chain, name } = await openAccount(settings, 'tee-worker', signal)
    const say = (step: string, next: string): number => {
      if (settings.json) console.log(JSON.stringify({ name, step, next }))
      else console.log(`${name}: ${step}.\n${next}`)
      return 0
    }
    const before = await chain.read('TeeWorkers', 'workerOf', [chain.account])
    if (before.state === 1 || before.state === 2 || (before.groups > 0 && before.state !== 3)) {
      if (before.groups > 0) {
        await chain.send('TeeWorkers', 'exit', [], { signal })
        return say('it leaves', 'Keep it running for an era; then stop it and run this again.')
      }
    }
    const folder = await folderOf(settings)
    if (before.state !== 0) {
      try {
        await chain.send('TeeWorkers', 'exit', [], { signal })
      } catch (error) {
        if (!(error instanceof ChainError) || error.errorName !== 'GroupsLeft') throw error
        const [groups, epoch] = (error.args ?? []) as [number, bigint]
        return say(`it still serves ${groups} groups, until epoch ${epoch}`, 'Keep it running; run this again later.')
      }
    }
    const aside = join(folder, `retired-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`)
    await mkdir(aside, { mode: 0o700 })
    for (const file of KEY_FILES) {
      await rename(join(folder, file), join(aside, file)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
    }
    return say('its old key is put aside', 'Start it again: it makes a new key and registers with it.')
  },
})

/** @throws CliError STILL_RUNNING, NO_FOLDER */
async function folderOf(settings: {
  dir: string
  name: string | undefined
  keyFile: string | undefined
  state: string | undefined
}) {
  if (settings.keyFile !== undefined) {
    if (settings.state !== undefined) return settings.state
    throw new CliError('NO_FOLDER', 'the folder of the worker is not known', 'Name it: --state FOLDER.')
  }
  const network = await new NetworkFolder(settings.dir).read()
  const entry = network.processes.find(({ role, name }) => role === 'tee-worker' && (settings.name ?? name) === name)!
  if (isRunning(entry)) {
    throw new CliError('STILL_RUNNING', `${entry.name} is running`, `Stop it first: kill ${entry.pid}.`)
  }
  return entry.dir
}
