import { type RecoverProgress, runRecover } from '@cumulus/gateway'
import { createLogger, createMetrics, readSettings } from '@cumulus/service'
import { CliError, command } from '../command.ts'
import { NetworkFolder, type NetworkProcess } from '../network-folder.ts'
import { addressOf, parsePrivateKey, readKeyFile } from '../plan.ts'
import { compileCacheFor, isRunning, startDetached, stopProcesses } from '../processes.ts'
import { gatewaySettings } from '../role-settings.ts'
import { gatewayConfig } from './roles.ts'
import { networkSettings } from './settings.ts'

const steps: Record<RecoverProgress['step'], string> = {
  miners: 'miners connected',
  stripes: 'stripes asked for',
  logs: 'miners asked for open logs',
  journals: 'journals read',
  segments: 'segments taken over',
}

export const recover = command({
  name: 'gateway recover',
  summary: "Rebuilds all buckets of an owner from chain and network alone, by the owner's key.",
  about:
    'For a gateway that has lost its folder, or a new one. The key is the private key of the owner of the territory: it\n' +
    'finds the territory on chain, grants it to this gateway if need be, and derives the keys that read journals and\n' +
    'sign S3 requests. It is not stored. The gateway is stopped meanwhile, and started again if it was running.',
  settings: {
    ...networkSettings,
    key: {
      kind: 'text',
      help: 'private key of the owner, 64 hex digits; better given as CUMULUS_KEY than on a command line',
    },
    territory: { kind: 'number', help: 'which territory of the owner, if there are several', min: 1 },
    gateway: { kind: 'text', help: 'which gateway of the network', default: 'gateway-1' },
  },
  examples: ['CUMULUS_KEY=0x… cumulus gateway recover', 'cumulus gateway recover --key 0x… --dir /data/test'],
  async run({ settings, signal }) {
    if (settings.key === undefined)
      throw new CliError('NO_KEY', "recovery needs the owner's private key", 'Give it with --key or in CUMULUS_KEY.')
    const ownerKey = parsePrivateKey(settings.key, '--key')
    const folder = new NetworkFolder(settings.dir)
    const network = await folder.read()
    const entry = network.processes.find((known) => known.role === 'gateway' && known.name === settings.gateway)
    if (!entry) throw new CliError('NO_SUCH_PROCESS', `no gateway "${settings.gateway}" in ${folder.path}`)
    const wasRunning = isRunning(entry)
    if (wasRunning && network.processes.filter((other) => other.pid === entry.pid).length > 1) {
      throw new CliError(
        'LITE',
        'all roles of this network run in one process: it cannot stop its gateway alone',
        'Recover with a network that was made without --lite.',
      )
    }
    if (!network.processes.some((other) => other.role === 'validator' && isRunning(other))) {
      throw new CliError('NO_CHAIN', 'the chain is not running', 'Start it with "cumulus up", then try again.')
    }
    await stopProcesses([entry], { graceMs: 20_000 })
    try {
      const config = readSettings(gatewaySettings, { flags: {}, env: {}, file: folder.configFile(entry.name) })
      const log = createLogger({ name: 'recover', level: 'warn' })
      const known = network.s3.users.find((user) => user.owner === addressOf(ownerKey).toLowerCase())
      const result = await runRecover(
        gatewayConfig(config, await readKeyFile(config.keyFile)),
        { signal, log, metrics: createMetrics({ process: false }) },
        {
          ownerKey,
          name: known?.name,
          email: known?.email,
          territory: settings.territory === undefined ? undefined : BigInt(settings.territory),
        },
        progressLine(settings.json),
      )
      const { user, packs, logs, buckets, objects, lostSegments } = result
      if (settings.json)
        console.log(
          JSON.stringify({
            owner: user.owner,
            territory: user.territory,
            accessKey: user.accessKey,
            packs,
            logs,
            buckets,
            objects,
            lostSegments,
          }),
        )
      else {
        console.log(
          `Recovered ${buckets} buckets with ${objects} objects of ${user.name} (territory ${user.territory}) from ${packs} packs and ${logs} open logs.`,
        )
        if (lostSegments.length > 0)
          console.log(`${lostSegments.length} segments are LOST: fewer than four of their fragments are left.`)
        if (!wasRunning) console.log('Start the gateway again with "cumulus up".')
      }
      return lostSegments.length > 0 ? 1 : 0
    } finally {
      if (wasRunning) await restart(folder, entry)
    }
  },
})

async function restart(folder: NetworkFolder, entry: NetworkProcess): Promise<void> {
  const pid = await startDetached(entry.command, {
    logFile: folder.logFile(entry.name),
    cwd: folder.path,
    env: { CUMULUS_COMPILE_CACHE: compileCacheFor(entry) ?? '' },
  })
  await folder.setPid(entry.name, pid)
}

function progressLine(quiet: boolean): (progress: RecoverProgress) => void {
  if (quiet || !process.stderr.isTTY) return () => {}
  let last = ''
  return ({ step, done, total }) => {
    if (step !== last && last !== '') process.stderr.write('\n')
    last = step
    process.stderr.write(`\r${steps[step]}: ${done} of ${total}\x1b[K`)
  }
}
