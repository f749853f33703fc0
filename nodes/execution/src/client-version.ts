import manifest from '../package.json' with { type: 'json' }

/** As `web3_clientVersion` shows it: name, version, platform, runtime. */
export const clientVersion = `cumulus/v${manifest.version}/${process.platform}-${process.arch}/node${process.versions.node}`
