import { constants } from 'node:fs'
import { mkdir, open, rm, statfs } from 'node:fs/promises'
import { availableParallelism, freemem } from 'node:os'
import { join } from 'node:path'
import { ListBucketsCommand } from '@aws-sdk/client-s3'
import { blake3Backend } from '@cumulus/hash'
import { secp256k1Backend } from '@cumulus/signature'
import { command, formatBytes } from '../command.ts'
import { type NetworkFile, NetworkFolder } from '../network-folder.ts'
import { openObjects } from '../object-client.ts'
import { green, red, yellow } from '../table.ts'
import { networkSettings } from './settings.ts'
import { reportProcesses } from './status.ts'

interface Finding {
  readonly check: string
  /** `warn`: it works, but not as well as it could. */
  readonly verdict: 'ok' | 'warn' | 'bad'
  readonly detail: string
  readonly next?: string
}

const GiB = 2 ** 30

export const doctor = command({
  name: 'doctor',
  summary: 'Checks this machine and the local network, and says what to do.',
  about: 'Exit code 1 if something is bad; warnings alone are 0.',
  settings: networkSettings,
  async run({ settings }) {
    const folder = new NetworkFolder(settings.dir)
    const network = await folder.find()
    const findings = [...(await checkMachine(folder)), ...(network ? await checkNetwork(network, settings.dir) : [])]
    if (!network)
      findings.push({
        check: 'network',
        verdict: 'warn',
        detail: `none in ${folder.path}`,
        next: 'Start one with "cumulus up".',
      })
    if (settings.json) console.log(JSON.stringify(findings))
    else {
      const mark = { ok: green('✓'), warn: yellow('!'), bad: red('✗') }
      for (const finding of findings) {
        console.log(
          `${mark[finding.verdict]} ${finding.check.padEnd(18)} ${finding.detail}${finding.next && finding.verdict !== 'ok' ? `\n  ${' '.repeat(18)} → ${finding.next}` : ''}`,
        )
      }
    }
    return findings.some((finding) => finding.verdict === 'bad') ? 1 : 0
  },
})

async function checkMachine(folder: NetworkFolder): Promise<Finding[]> {
  const findings: Finding[] = [
    { check: 'Node.js', verdict: 'ok', detail: process.version },
    {
      check: 'cores',
      verdict: availableParallelism() >= 2 ? 'ok' : 'warn',
      detail: String(availableParallelism()),
      next: 'With one core, encoding and serving wait for each other.',
    },
    {
      check: 'memory',
      verdict: freemem() > 4 * GiB ? 'ok' : 'warn',
      detail: `${formatBytes(freemem())} free`,
      next: 'A local network of 12 miners takes about 4 GiB: make one with --lite or fewer --miners, or close other programs.',
    },
    {
      check: 'BLAKE3',
      verdict: blake3Backend === 'native' ? 'ok' : 'warn',
      detail: blake3Backend,
      next: 'No prebuilt addon for this platform: hashing is about ten times slower.',
    },
    checkSecp256k1(),
  ]
  const { bavail, bsize } = await mkdir(folder.path, { recursive: true }).then(() => statfs(folder.path))
  const free = bavail * bsize
  findings.push({
    check: 'disk',
    verdict: free > 20 * GiB ? 'ok' : free > 4 * GiB ? 'warn' : 'bad',
    detail: `${formatBytes(free)} free in ${folder.path}`,
    next: 'Twelve miners of 1 GiB want 12 GiB and a margin: use --space or --dir.',
  })
  findings.push(await checkDirectIo(folder.path))
  return findings
}

function checkSecp256k1(): Finding {
  const native = secp256k1Backend === 'native'
  return {
    check: 'secp256k1',
    verdict: native ? 'ok' : 'warn',
    detail: native ? 'native' : 'JavaScript',
    next: 'No prebuilt addon for this platform: checking transactions is about 30 times slower.',
  }
}

async function checkDirectIo(path: string): Promise<Finding> {
  const check = 'O_DIRECT'
  const flag = (constants as { O_DIRECT?: number }).O_DIRECT
  if (flag === undefined)
    return {
      check,
      verdict: 'warn',
      detail: 'not on this platform',
      next: 'Miners write through the page cache instead.',
    }
  const file = join(path, `.direct-${process.pid}`)
  try {
    const handle = await open(file, constants.O_RDWR | constants.O_CREAT | flag, 0o600)
    await handle.close()
    return { check, verdict: 'ok', detail: 'supported by this file system' }
  } catch {
    return {
      check,
      verdict: 'warn',
      detail: 'refused by this file system',
      next: 'Miners write through the page cache instead: slower, as safe.',
    }
  } finally {
    await rm(file, { force: true })
  }
}

async function checkNetwork(network: NetworkFile, dir: string): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const entry of await reportProcesses(network.processes)) {
    if (entry.ok) continue
    const failed = entry.checks
      .filter((item) => !item.ok)
      .map((item) => `${item.name}${item.detail ? ` (${item.detail})` : ''}`)
    findings.push({
      check: entry.name,
      verdict: 'bad',
      detail: entry.running ? `not ready: ${failed.join(', ') || 'it does not answer'}` : 'not running',
      next: entry.running ? `See "cumulus logs ${entry.name}".` : 'Start it with "cumulus up".',
    })
  }
  if (findings.length === 0)
    findings.push({ check: 'processes', verdict: 'ok', detail: `${network.processes.length} healthy` })
  const heights: (bigint | undefined)[] = []
  for (let i = 0; i < 2; i++) {
    heights.push(await blockNumber(network.rpc.http))
    if (i === 0) await new Promise((resolve) => setTimeout(resolve, 3_000))
  }
  const [before, later] = heights
  findings.push(
    before === undefined || later === undefined
      ? {
          check: 'chain',
          verdict: 'bad',
          detail: `${network.rpc.http} does not answer`,
          next: 'See "cumulus logs validator".',
        }
      : {
          check: 'chain',
          verdict: later > before ? 'ok' : 'bad',
          detail: `chain block ${later}${later > before ? ', moving' : ', standing still'}`,
          next: 'See "cumulus logs validator".',
        },
  )
  try {
    const client = await openObjects({ dir, user: network.s3.users[0]!.name })
    const { Buckets } = await client.send(new ListBucketsCommand({}), { abortSignal: AbortSignal.timeout(5_000) })
    client.destroy()
    findings.push({
      check: 'S3',
      verdict: 'ok',
      detail: `${network.s3.endpoint} answers: ${Buckets?.length ?? 0} buckets`,
    })
  } catch (error) {
    findings.push({
      check: 'S3',
      verdict: 'bad',
      detail: `${network.s3.endpoint}: ${(error as Error).message}`,
      next: 'See "cumulus logs gateway".',
    })
  }
  return findings
}

async function blockNumber(url: string): Promise<bigint | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}',
      signal: AbortSignal.timeout(3_000),
    })
    return BigInt(((await response.json()) as { result: string }).result)
  } catch {
    return undefined
  }
}
