import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

/**
 * Settings of a role, each from the first place that names it: a flag, the environment (`CUMULUS_*`), a YAML file, the
 * default. Every value is checked where it is read, and an error names the place it came from.
 */
export type SettingSpec =
  | {
      readonly kind: 'text'
      readonly help: string
      readonly default?: string
      readonly choices?: readonly string[]
      readonly hidden?: boolean
    }
  | {
      readonly kind: 'number'
      readonly help: string
      readonly default?: number
      readonly min?: number
      readonly max?: number
      readonly hidden?: boolean
    }
  /** `1GiB`, `500MB`, `4096`: a count of bytes. */
  | {
      readonly kind: 'bytes'
      readonly help: string
      readonly default?: number
      readonly min?: number
      readonly hidden?: boolean
    }
  | { readonly kind: 'flag'; readonly help: string; readonly default?: boolean; readonly hidden?: boolean }
  | { readonly kind: 'list'; readonly help: string; readonly default?: readonly string[]; readonly hidden?: boolean }

export type SettingsSpec = Readonly<Record<string, SettingSpec>>

type ValueOf<Spec extends SettingSpec> = Spec extends { kind: 'text' }
  ? string
  : Spec extends { kind: 'number' | 'bytes' }
    ? number
    : Spec extends { kind: 'flag' }
      ? boolean
      : readonly string[]

/** A setting without a default may be absent. */
export type Settings<Spec extends SettingsSpec> = {
  readonly [Key in keyof Spec]: Spec[Key] extends { default: unknown }
    ? ValueOf<Spec[Key]>
    : ValueOf<Spec[Key]> | undefined
}

export class SettingsError extends Error {
  readonly code = 'BAD_SETTING'
  readonly setting: string
  constructor(setting: string, message: string) {
    super(message)
    this.name = 'SettingsError'
    this.setting = setting
  }
}

interface Sources {
  /** Values by setting name, as given on the command line: text, or true for a bare flag. */
  readonly flags: Readonly<Record<string, string | boolean | readonly string[] | undefined>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Path of a YAML file. */
  readonly file?: string
}

/** @throws SettingsError naming the setting, where its value came from, and what would be right */
export function readSettings<Spec extends SettingsSpec>(spec: Spec, sources: Sources): Settings<Spec> {
  const file = sources.file === undefined ? {} : readYaml(sources.file)
  for (const key of Object.keys(file)) {
    if (!(key in spec))
      throw new SettingsError(key, `${sources.file}: no setting "${key}"${nearest(key, Object.keys(spec))}`)
  }
  const settings: Record<string, unknown> = {}
  for (const [name, setting] of Object.entries(spec)) {
    const variable = `CUMULUS_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
    const places: [string, unknown][] = [
      [`--${kebab(name)}`, sources.flags[name]],
      [variable, sources.env[variable]],
      [`${sources.file}: ${name}`, file[name]],
    ]
    const [place, raw] = places.find(([, value]) => value !== undefined && value !== null) ?? [
      'default',
      setting.default,
    ]
    settings[name] = raw === undefined ? undefined : check(name, setting, raw, place)
  }
  return settings as Settings<Spec>
}

export function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function check(name: string, spec: SettingSpec, raw: unknown, place: string): unknown {
  const wrong = (expected: string) => new SettingsError(name, `${place}: ${JSON.stringify(raw)} is not ${expected}`)
  switch (spec.kind) {
    case 'text':
      if (typeof raw !== 'string') throw wrong('text')
      if (spec.choices && !spec.choices.includes(raw)) throw wrong(`one of ${spec.choices.join(', ')}`)
      return raw
    case 'number': {
      const value = typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : raw
      if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong('a number')
      if (spec.min !== undefined && value < spec.min) throw wrong(`a number of at least ${spec.min}`)
      if (spec.max !== undefined && value > spec.max) throw wrong(`a number of at most ${spec.max}`)
      return value
    }
    case 'bytes': {
      const value = typeof raw === 'number' ? raw : parseBytes(String(raw))
      if (value === undefined) throw wrong('a size such as 1GiB, 500MB or 4096')
      if (spec.min !== undefined && value < spec.min) throw wrong(`a size of at least ${spec.min} bytes`)
      return value
    }
    case 'flag':
      if (raw === true || raw === 'true' || raw === '1') return true
      if (raw === false || raw === 'false' || raw === '0') return false
      throw wrong('true or false')
    case 'list':
      if (Array.isArray(raw) && raw.every((item) => typeof item === 'string')) return raw
      if (typeof raw === 'string')
        return raw
          .split(',')
          .map((item) => item.trim())
          .filter((item) => item !== '')
      throw wrong('a list of texts')
  }
}

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

/** Bytes of a size such as `1GiB` (2^30), `1GB` (10^9) or `4096`; undefined if it is none. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(text.trim())
  const unit = match && sizeUnits[match[2]!.toUpperCase()]
  if (!match || unit === undefined || unit === null) return undefined
  const value = Number(match[1]) * unit
  return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : undefined
}

function readYaml(path: string): Record<string, unknown> {
  let document: unknown
  try {
    document = parse(readFileSync(path, 'utf8'), { maxAliasCount: 10 })
  } catch (error) {
    throw new SettingsError('config', `${path}: ${error instanceof Error ? error.message : error}`)
  }
  if (document === null || document === undefined) return {}
  if (typeof document !== 'object' || Array.isArray(document)) {
    throw new SettingsError('config', `${path}: settings are lines "name: value"`)
  }
  return document as Record<string, unknown>
}

/** The known word most like a mistyped one, as a question. */
export function nearest(word: string, known: readonly string[]): string {
  let best = ''
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best === '' ? '' : `; did you mean "${best}"?`
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}
