/**
 *     npm run bench -- [kernel] [frames] [ledger] [podr2] [consensus] [s3] [--size tiny|small|full] [--json FILE]
 *                      [--limit SECONDS] [--only TEXT] [--tagging] [--profile FOLDER]
 *
 * Progress goes to standard error, tables to standard output. Ctrl-C ends it, and what it started.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { BenchError } from './bench-error.ts'
import { benches } from './benches/index.ts'
import { type BenchReport, describeMachine, type ReportFile, renderReport, type Size } from './report.ts'

const LIMIT_SECONDS: Record<Size, number> = { tiny: 60, small: 300, full: 1_200 }

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)))
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const { code, message, stack } = error as BenchError
  const known = error instanceof BenchError || interrupted.signal.aborted
  process.stderr.write(known ? `error: ${message}${code ? ` [${code}]` : ''}\n` : `${stack}\n`)
  process.exitCode = interrupted.signal.aborted ? 130 : code === 'USAGE' ? 64 : 1
}

async function main(argv: readonly string[]): Promise<void> {
  const { names, size, json, limitSeconds, ...rest } = readArguments(argv)
  const { profileFolder } = rest
  if (profileFolder) await mkdir(profileFolder, { recursive: true })
  const machine = describeMachine()
  const startedAt = new Date().toISOString()
  process.stdout.write(
    `${machine.cpu}, ${machine.cores} cores, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, ${machine.system}, Node ${machine.node}, commit ${machine.commit}, ${startedAt}\n`,
  )
  const deadlineMs = performance.now() + limitSeconds * 1000
  const reports: BenchReport[] = []
  for (const name of names) {
    const progress = (line: string) => process.stderr.write(`${name}: ${line}\n`)
    const report = await benches[name]!({ size, signal: interrupted.signal, deadlineMs, progress, ...rest })
    process.stdout.write(renderReport(report))
    reports.push(report)
    const file: ReportFile = {
      version: 1,
      startedAt,
      command: `npm run bench -- ${argv.join(' ')}`,
      machine,
      reports,
    }
    // After each, so that what is measured is not lost with what fails later.
    if (json) await writeFile(json, `${JSON.stringify(file, null, 2)}\n`)
  }
}

function readArguments(argv: readonly string[]) {
  const { values, positionals } = parseCommandLine(argv)
  const unknown = positionals.find((name) => !(name in benches))
  if (unknown) throw new BenchError('USAGE', `no benchmark "${unknown}": there are ${Object.keys(benches).join(', ')}`)
  const size = values.size as Size
  if (!(size in LIMIT_SECONDS)) throw new BenchError('USAGE', `no size "${size}": tiny, small or full`)
  const limitSeconds = Number(values.limit ?? LIMIT_SECONDS[size])
  if (!(limitSeconds > 0)) throw new BenchError('USAGE', `--limit takes seconds, not "${values.limit}"`)
  return {
    names: positionals.length > 0 ? positionals : Object.keys(benches),
    size,
    json: values.json,
    limitSeconds,
    only: values.only,
    tagging: values.tagging,
    profileFolder: values.profile && resolve(values.profile),
  }
}

function parseCommandLine(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        size: { type: 'string', default: 'small' },
        json: { type: 'string' },
        limit: { type: 'string' },
        only: { type: 'string' },
        profile: { type: 'string' },
        tagging: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new BenchError('USAGE', (error as Error).message)
  }
}
