/**
 * `npm run check:lock`: what `npm ci` would silently leave out. npm drops an *optional* package whose `engines` refuse the
 * Node.js that npm itself runs on, and that may be 20, although the package only ever meets the pinned one. So such
 * packages stand in the lock file without `engines`. npm writes them again at each `npm install`: then run
 * `npm run lock`, which takes them out.
 */
import { readFileSync, writeFileSync } from 'node:fs'

interface LockedPackage {
  readonly optional?: boolean
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
  engines?: Readonly<Record<string, string>>
}

/** The oldest Node.js with which `npm ci` must leave out nothing. */
const OLDEST_MAJOR = 20
const file = 'package-lock.json'
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, LockedPackage> }
const packages = Object.entries(lock.packages)

/** Ranges as packages write them: `>= 22`, `^20.19.0 || >=22.12.0`, `20 || >=22`, `*`. */
function refusesOldest(range: string): boolean {
  return range.split('||').every((part) => {
    const [, operator = '', major] = /^\s*(>=|>|\^|~|=)?\s*v?(\d+|\*|x)/.exec(part) ?? []
    if (major === undefined || major === '*' || major === 'x') return false
    if (operator === '>=' || operator === '>') return Number(major) > OLDEST_MAJOR
    return Number(major) !== OLDEST_MAJOR
  })
}

const refused = packages.filter(([, { optional, engines }]) => optional && refusesOldest(engines?.['node'] ?? '*'))
const addressed = packages.filter(
  ([name, { resolved }]) => name.includes('node_modules/') && /^https?:/.test(resolved ?? ''),
)

if (process.argv.includes('--write')) {
  for (const [, locked] of refused) delete locked.engines
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
} else {
  const faults = [
    ...refused.map(([name]) => `${name} asks for a newer Node.js than ${OLDEST_MAJOR}: run npm run lock`),
    ...missingBuilds().map(
      (name) => `${name} is asked for, and not locked: its registry lacks it; choose another version`,
    ),
    ...addressed.map(([name]) => `${name} is locked to an address of a registry`),
  ]
  for (const fault of faults) process.stderr.write(`${file}: ${fault}\n`)
  process.exitCode = faults.length > 0 ? 1 : 0
}

/** Builds for other platforms that a package names and the lock lacks: `npm ci` refuses such a lock. */
function missingBuilds(): string[] {
  const locked = new Set(
    packages.map(([name]) => name.slice(name.lastIndexOf('node_modules/') + 'node_modules/'.length)),
  )
  return packages
    .flatMap(([, { optionalDependencies = {} }]) => Object.keys(optionalDependencies))
    .filter((name) => !locked.has(name))
}
