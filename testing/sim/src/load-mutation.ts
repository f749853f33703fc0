import { registerHooks } from 'node:module'
import { MUTATIONS, type MutationName } from './mutations.ts'

/** From now on this thread loads the law with that mistake in it. Before the law is imported for the first time. */
export function loadMutation(name: MutationName): void {
  const { file, find, replace } = MUTATIONS[name]
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith(`/${file}`)) return loaded
      const parts = String(
        loaded.source instanceof Uint8Array ? new TextDecoder().decode(loaded.source) : loaded.source,
      ).split(find)
      if (parts.length !== 2) throw new Error(`mutation "${name}" fits ${parts.length - 1} places of ${file}`)
      return { ...loaded, source: parts.join(replace) }
    },
  })
}
