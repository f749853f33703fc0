import { formatTokens } from '../chain-access.ts'
import { command, formatBytes } from '../command.ts'
import { NetworkFolder, type NetworkProcess } from '../network-folder.ts'
import { askAdmin, isRunning } from '../processes.ts'
import { bold, green, red, renderTable, yellow } from '../table.ts'
import { type CommitteeReport, orderLine, reportCommittee } from './committee-report.ts'
import { networkSettings } from './settings.ts'

export interface ProcessReport {
  readonly name: string
  readonly role: string
  readonly pid: number
  readonly running: boolean
  /** Running, and every check of its own is fine. */
  readonly ok: boolean
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail?: string }[]
  readonly ports: Readonly<Record<string, number>>
  /** What the process tells of itself; empty if it does not answer. */
  readonly status: Record<string, unknown>
}

export async function reportProcesses(entries: readonly NetworkProcess[]): Promise<ProcessReport[]> {
  return Promise.all(
    entries.map(async (entry) => {
      const running = isRunning(entry)
      const [health, status] = running
        ? ((await Promise.all([
            askAdmin(entry.ports['admin'] ?? 0, '/health'),
            askAdmin(entry.ports['admin'] ?? 0, '/status'),
          ])) as [Pick<ProcessReport, 'ok' | 'checks'> | undefined, Record<string, unknown> | undefined])
        : [undefined, undefined]
      return {
        name: entry.name,
        role: entry.role,
        pid: entry.pid,
        running,
        ok: running && health?.ok === true,
        checks: health?.checks ?? [],
        ports: entry.ports,
        status: status ?? {},
      }
    }),
  )
}

export const status = command({
  name: 'status',
  summary: 'Shows processes, health, space and chain of the local network.',
  about: 'Exit code 0: everything runs and is healthy. 1: something is not.',
  settings: networkSettings,
  async run({ settings }) {
    const folder = new NetworkFolder(settings.dir)
    const network = await folder.read()
    const processes = await reportProcesses(network.processes)
    const committee = reportCommittee(processes)
    const ok = processes.every((entry) => entry.ok)
    if (settings.json) {
      console.log(
        JSON.stringify({
          ok,
          dir: folder.path,
          preset: network.preset,
          chainId: network.chainId,
          s3: network.s3.endpoint,
          rpc: network.rpc,
          committee,
          processes,
        }),
      )
      return ok ? 0 : 1
    }
    console.log(
      `${bold('S3')}   ${network.s3.endpoint}\n${bold('RPC')}  ${network.rpc.http}   chain ${network.chainId} (${network.preset})\n${committee ? committeeLines(committee) : ''}`,
    )
    console.log(
      renderTable([
        ['process', 'state', 'pid', 'what it says'],
        ...processes.map((entry) => [entry.name, stateOf(entry), String(entry.pid), sayingOf(entry)]),
      ]),
    )
    for (const entry of processes) {
      for (const check of entry.checks) {
        if (!check.ok)
          console.log(`${yellow('!')} ${entry.name}: ${check.name}${check.detail ? `: ${check.detail}` : ''}`)
      }
    }
    if (processes.some((entry) => !entry.running)) console.log('\n"cumulus up" starts what is not running.')
    return ok ? 0 : 1
  },
})

function stateOf(entry: ProcessReport): string {
  if (!entry.running) return red('stopped')
  return entry.ok ? green('healthy') : yellow('not ready')
}

function committeeLines({ size, round, certifiedHeight, commitMs, coin, lagging, traitors }: CommitteeReport): string {
  const latency = commitMs ? `committed in ${commitMs.p50} ms (p99 ${commitMs.p99} ms)` : 'idle'
  const lines = [
    `${bold('Order')} ${size} validators, round ${round}, certified block ${certifiedHeight}, ${latency}`,
    `      coin ${coin}`,
  ]
  if (lagging.length > 0) {
    const names = lagging.map(({ name, rounds }) =>
      rounds === undefined ? `${name} does not answer` : `${name} by ${rounds} rounds`,
    )
    lines.push(yellow(`      behind: ${names.join(', ')}`))
  }
  if (traitors.length > 0)
    lines.push(red(`      signed two blocks of one round or two votes of one height: ${traitors.join(', ')}`))
  return `${lines.join('\n')}\n`
}

/** The few figures of each role that an operator looks for first. */
function sayingOf(entry: ProcessReport): string {
  const status = entry.status as {
    height?: number | string
    mempool?: { pending?: number } | number
    units?: Record<string, number>
    unitBytes?: number
    declared?: string
    minersConnected?: number
    users?: number
    needRecovery?: string[]
    owners?: { pendingRepairs: number; segments: { data: number; packs: number } }[]
    /** Of a miner. */
    audit?: AuditStatus
    /** Of a TEE worker. */
    attestation?: string
    tagBacklog?: number
    undelivered?: number
    tagged?: number
  }
  const parts: string[] = []
  if (status.height !== undefined) parts.push(`chain block ${status.height}`)
  parts.push(...orderLine(entry))
  const units = status.units
  if (units && status.unitBytes) {
    const size = (count = 0) => formatBytes(count * status.unitBytes!)
    parts.push(
      `${size((units['service'] ?? 0) + (units['locked'] ?? 0))} in use, ${size(units['idle'])} idle of ${size(units['declared'])} (declared, unproven)`,
    )
  }
  parts.push(...auditLine(status.audit))
  if (status.attestation !== undefined) {
    parts.push(
      status.attestation === 'simulated, no hardware protection' ? yellow(status.attestation) : status.attestation,
    )
    parts.push(`${status.tagged} stripes tagged, ${status.tagBacklog} waiting, ${status.undelivered} not taken by all`)
  }
  if (status.minersConnected !== undefined) parts.push(`${status.minersConnected} miners connected`)
  if (status.users !== undefined) parts.push(`${status.users} users`)
  if (status.needRecovery && status.needRecovery.length > 0)
    parts.push(yellow(`${status.needRecovery.join(', ')}: index lost, run "cumulus gateway recover"`))
  if (status.owners) {
    const sum = (pick: (owner: NonNullable<typeof status.owners>[number]) => number) =>
      status.owners!.reduce((total, owner) => total + pick(owner), 0)
    parts.push(`${sum((owner) => owner.segments.data + owner.segments.packs)} segments`)
    const repairs = sum((owner) => owner.pendingRepairs)
    if (repairs > 0) parts.push(`${repairs} segments to repair`)
  }
  return parts.join(', ')
}

export interface AuditStatus {
  readonly tagBacklog: number
  readonly lastPassedEpoch: string | null
  readonly failedInRow?: number
  readonly missedInRow?: number
  readonly rewards?: { readonly claimable: string; readonly locked: string; readonly paid: string }
}

/** What a miner proves and earns. */
export function auditLine(audit: AuditStatus | undefined): string[] {
  if (!audit) return []
  const { tagBacklog, lastPassedEpoch, failedInRow = 0, missedInRow = 0, rewards } = audit
  const parts = [lastPassedEpoch === null ? 'no proof yet' : `last proof in epoch ${lastPassedEpoch}`]
  if (tagBacklog > 0) parts.push(`${tagBacklog} fragments without tags`)
  if (failedInRow > 0) parts.push(red(`${failedInRow} wrong proofs in a row`))
  if (missedInRow > 0) parts.push(red(`${missedInRow} missed audits in a row`))
  if (rewards) {
    const earned = [rewards.claimable, rewards.locked, rewards.paid].reduce((sum, wei) => sum + BigInt(wei), 0n)
    parts.push(`${formatTokens(earned)} earned`)
  }
  return parts
}
