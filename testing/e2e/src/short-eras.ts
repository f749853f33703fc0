import { dev, type Params } from '@cumulus/params'

/**
 * The rules of `dev` with eras of a minute instead of three, for who waits until some are paid. A genesis names its rules and
 * cannot change them, so every process of the network imports this before it reads them: see `SHORT_ERAS`.
 */
export const shortEras: Params = Object.assign(dev, { epochsPerEra: 2 } satisfies Partial<Params>)

/** `NODE_OPTIONS` for the command line, which hands them on to the processes it starts. */
export const SHORT_ERAS = `--conditions=@cumulus/source --import=${import.meta.url}`
