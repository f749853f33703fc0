import { parseArgs } from 'node:util'
import { kebab, nearest, readSettings, type SettingSpec, type Settings, type SettingsSpec } from '@cumulus/service'

/** One verb of the command line: what `--help` teaches and what runs. */
export interface Command<Spec extends SettingsSpec = SettingsSpec> {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** Positional arguments as the usage line shows them, such as `FILE BUCKET/KEY`. */
  readonly positionals?: string
  readonly settings: Spec
  /** Shown under the settings: lines that can be typed. */
  readonly examples?: readonly string[]
  /** Longer explanation. */
  readonly about?: string
  readonly hidden?: boolean
  run(call: {
    readonly settings: Settings<Spec>
    readonly positionals: readonly string[]
    readonly signal: AbortSignal
  }): Promise<number | undefined>
}

export function command<const Spec extends SettingsSpec>(definition: Command<Spec>): Command {
  return definition as unknown as Command
}

/** The call was wrong: the message says what is missing, and the usage line follows. */
export class UsageError extends Error {
  readonly code = 'USAGE'
}

/** Something is not as this command needs it. `next` tells what to type. */
export class CliError extends Error {
  readonly code: string
  readonly next: string | undefined
  constructor(code: string, message: string, next?: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CliError'
    this.code = code
    this.next = next
  }
}

/**
 * Reads the arguments of a command.
 *
 * @throws UsageError for flags that do not exist, SettingsError for values that make no sense
 */
export function parseCall(
  spec: SettingsSpec,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): { settings: Settings<SettingsSpec>; positionals: string[]; help: boolean } {
  const known = Object.keys(spec).map(kebab)
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
    config: { type: 'string' },
  }
  for (const [name, setting] of Object.entries(spec)) {
    options[kebab(name)] = { type: setting.kind === 'flag' ? 'boolean' : 'string' }
  }
  let parsed: { values: Record<string, string | boolean | undefined>; positionals: string[] }
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true, allowNegative: true, strict: true })
  } catch (error) {
    const flag = /Unknown option '(--?[^']+)'/.exec(error instanceof Error ? error.message : '')?.[1]
    if (flag) throw new UsageError(`no option ${flag}${nearest(flag.replace(/^-+/, ''), known).replaceAll('"', '')}`)
    throw new UsageError((error instanceof Error ? error.message : String(error)).split('\n')[0]!)
  }
  const flags: Record<string, string | boolean | undefined> = {}
  for (const name of Object.keys(spec)) flags[name] = parsed.values[kebab(name)]
  const file = parsed.values.config
  return {
    settings: parsed.values.help
      ? ({} as Settings<SettingsSpec>)
      : readSettings(spec, { flags, env, file: typeof file === 'string' ? file : undefined }),
    positionals: parsed.positionals,
    help: parsed.values.help === true,
  }
}

export function renderHelp(definition: Command): string {
  const lines = [
    `${definition.summary}`,
    '',
    `Usage: cumulus ${definition.name}${definition.positionals ? ` ${definition.positionals}` : ''} [options]`,
  ]
  if (definition.about) lines.push('', definition.about)
  const shown = Object.entries(definition.settings).filter(([, setting]) => !setting.hidden)
  if (shown.length > 0) {
    const rows = shown.map(([name, setting]) => [`--${kebab(name)}${placeholder(setting)}`, describe(setting)] as const)
    rows.push(['--config FILE', 'YAML with the same settings; flags and CUMULUS_… variables win over it'])
    const width = Math.max(...rows.map(([flag]) => flag.length))
    lines.push('', 'Options:', ...rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`))
  }
  if (definition.examples) lines.push('', 'Examples:', ...definition.examples.map((example) => `  ${example}`))
  return `${lines.join('\n')}\n`
}

function placeholder(setting: SettingSpec): string {
  return { text: ' TEXT', number: ' N', bytes: ' SIZE', flag: '', list: ' A,B' }[setting.kind]
}

function describe(setting: SettingSpec): string {
  const notes: string[] = []
  if (setting.kind === 'text' && setting.choices) notes.push(`one of ${setting.choices.join(', ')}`)
  if (setting.default !== undefined && setting.default !== false && String(setting.default) !== '') {
    notes.push(`default ${setting.kind === 'bytes' ? formatBytes(setting.default as number) : setting.default}`)
  }
  return setting.help + (notes.length > 0 ? ` (${notes.join('; ')})` : '')
}

const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `1.5 GiB`: three digits at most, binary units. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < binaryUnits.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ${binaryUnits[unit]}`
}
