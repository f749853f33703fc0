import { enableCompileCache } from 'node:module'
import { nearest, ServiceError, SettingsError } from '@cumulus/service'
import { CliError, parseCall, renderHelp, UsageError } from './command.ts'
import { type CommandEntry, commands } from './commands/index.ts'
import { bold, dim, red } from './table.ts'

// Set by `up` for the processes it starts: see compileCacheFor.
const compileCache = process.env['CUMULUS_COMPILE_CACHE']
if (compileCache) enableCompileCache(compileCache)

/** sysexits.h: what shells and service managers understand. */
const EXIT_USAGE = 64
const EXIT_CONFIG = 78

const exitCode = await run(process.argv.slice(2))
// Connections kept alive for a next request would hold the process for seconds; what is printed must be out, though.
process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)))

async function run(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    const about =
      name === 'help' && rest[0] !== undefined ? commands.find((known) => known.name === rest.join(' ')) : undefined
    process.stdout.write(about ? renderHelp(await about.load()) : overview())
    return 0
  }
  if (name === '--version' || name === '-v') return run(['version'])
  // The longest name wins: "gateway recover" before "gateway".
  const found = [...commands]
    .sort((a, b) => b.name.length - a.name.length)
    .find((known) => known.name === argv.slice(0, known.name.split(' ').length).join(' '))
  if (!found) {
    const visible = commands.filter((known) => !known.hidden).map((known) => known.name)
    return complain(
      'UNKNOWN_COMMAND',
      `no command "${name}"${nearest(name, visible)}`,
      'See "cumulus help".',
      EXIT_USAGE,
    )
  }
  return runCommand(found, argv.slice(found.name.split(' ').length))
}

async function runCommand(entry: CommandEntry, argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json')
  const controller = new AbortController()
  let interrupts = 0
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      controller.abort(new CliError('INTERRUPTED', `stopped by ${signal}`))
      if (++interrupts > 2) process.exit(130)
    })
  }
  try {
    const found = await entry.load()
    const call = parseCall(found.settings, argv, process.env)
    if (call.help) {
      process.stdout.write(renderHelp(found))
      return 0
    }
    return (await found.run({ settings: call.settings, positionals: call.positionals, signal: controller.signal })) ?? 0
  } catch (error) {
    if (json)
      process.stdout.write(
        `${JSON.stringify({ error: { code: (error as { code?: string }).code ?? 'INTERNAL', message: (error as Error).message } })}\n`,
      )
    if (error instanceof UsageError) {
      return complain('USAGE', error.message, `See "cumulus ${entry.name} --help".`, EXIT_USAGE)
    }
    if (error instanceof SettingsError) return complain(error.code, error.message, undefined, EXIT_CONFIG)
    if (error instanceof CliError)
      return complain(error.code, error.message, error.next, error.code === 'INTERRUPTED' ? 130 : 1)
    if (error instanceof ServiceError) return complain(error.code, error.message, undefined, 1)
    const { code, message } = error as { code?: string; message?: string }
    if (typeof code === 'string' && message)
      return complain(code, message, process.env['CUMULUS_DEBUG'] ? (error as Error).stack : undefined, 1)
    return complain(
      'INTERNAL',
      `${(error as Error).stack ?? error}`,
      'This is a fault of cumulus itself: please report it.',
      70,
    )
  }
}

function complain(code: string, message: string, next: string | undefined, exitCode: number): number {
  process.stderr.write(`${red('error')} ${message} ${dim(`[${code}]`)}\n${next ? `${next}\n` : ''}`)
  return exitCode
}

function overview(): string {
  const visible = commands.filter((known) => !known.hidden)
  const width = Math.max(...visible.map((known) => known.name.length))
  return [
    `${bold('cumulus')}: a decentralised storage network on this machine or many`,
    '',
    'Usage: cumulus COMMAND [options]      cumulus COMMAND --help tells more',
    '',
    ...visible.map((known) => `  ${known.name.padEnd(width)}  ${known.summary}`),
    '',
    'Start with "cumulus up": a whole local network, ready for any S3 client.',
    '',
  ].join('\n')
}
