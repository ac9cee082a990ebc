import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'

// What npm notes when it has installed, and what was to be installed.
const installed = await read('node_modules/.package-lock.json')
const wanted = await read('package-lock.json')
if (installed === undefined || !isUpToDate(JSON.parse(installed), JSON.parse(wanted ?? '{}'))) {
  console.log('Installing what the bench compares with and draws with, into bench/node_modules')
  const directory = new URL('.', import.meta.url)
  const options = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  const { status } = spawnSync('npm', options, {
    cwd: directory,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  process.exitCode = status ?? 1
}

interface Lock {
  readonly packages?: Readonly<Record<string, { readonly version?: string; readonly optional?: boolean }>>
}

function isUpToDate(installed: Lock, wanted: Lock): boolean {
  return Object.entries(wanted.packages ?? {}).every(
    ([path, { version, optional }]) =>
      !path.startsWith('node_modules/') || optional === true || installed.packages?.[path]?.version === version,
  )
}

function read(name: string): Promise<string | undefined> {
  return readFile(new URL(name, import.meta.url), 'utf8').catch(() => undefined)
}
