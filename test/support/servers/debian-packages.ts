import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pRetry from 'p-retry'

const run = promisify(execFile)

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Whether packages can be fetched on this machine. */
export async function hasDebianPackages(): Promise<boolean> {
  return stat(keyring).then(
    () => true,
    () => false,
  )
}

/**
 * Unpacks a package with all its libraries into a folder of its own and returns that folder. Nothing of the
 * machine's own system changes: apt works on private lists, and believes that no package is installed.
 */
export async function unpackDebianPackage(
  suite: string,
  name: string,
  report: (line: string) => void,
): Promise<string> {
  const cache = process.env.GOSCOPE_SERVER_CACHE ?? join(homedir(), '.cache/goscope-mysql/servers')
  const root = join(cache, `${suite}-${name}`)
  if (await isFolder(root)) return root
  report(`${name} from Debian ${suite}: fetching`)
  await mkdir(cache, { recursive: true })
  const workshop = await mkdtemp(join(cache, 'fetching-'))
  try {
    const unpacked = join(workshop, 'root')
    await fetchAndUnpack(workshop, unpacked, suite, name)
    // Another process may have been faster.
    await rename(unpacked, root).catch(async (error: unknown) => {
      if (!(await isFolder(root))) throw error
    })
    return root
  } finally {
    await rm(workshop, { recursive: true, force: true })
  }
}

async function fetchAndUnpack(workshop: string, unpacked: string, suite: string, name: string): Promise<void> {
  const lists = join(workshop, 'lists')
  const archives = join(workshop, 'cache/archives')
  await mkdir(join(lists, 'partial'), { recursive: true })
  await mkdir(join(archives, 'partial'), { recursive: true })
  await mkdir(unpacked)
  const sources = join(workshop, 'sources.list')
  await writeFile(sources, `deb [signed-by=${keyring}] ${await mirror()} ${suite} main\n`)
  await writeFile(join(workshop, 'status'), '')
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::Lists=${lists}`,
    `Dir::State::status=${join(workshop, 'status')}`,
    `Dir::Cache=${join(workshop, 'cache')}`,
    'APT::Install-Recommends=false',
    'APT::Sandbox::User=root',
    'Debug::NoLocking=true',
    'Acquire::Retries=3',
    // The archive of an old suite stays as it is, and its signature grows old.
    'Acquire::Check-Valid-Until=false',
  ].flatMap((option) => ['-o', option])
  const apt = (...command: string[]) =>
    pRetry(() => run('apt-get', [...options, ...command], { maxBuffer: 2 ** 26 }), { retries: 3 })
  await apt('update')
  await apt('--yes', '--download-only', 'install', name)
  for (const file of await readdir(archives)) {
    if (file.endsWith('.deb')) await run('dpkg', ['-x', join(archives, file), unpacked])
  }
}

/** The mirror this machine uses itself. */
async function mirror(): Promise<string> {
  const { stdout } = await run('apt-get', [
    'indextargets',
    '--no-release-info',
    '--format',
    '$(REPO_URI)',
    'Created-By: Packages',
  ])
  const found = stdout.split('\n').find((uri) => /\/debian\/?$/.test(uri))
  if (found === undefined) throw new Error("expected a Debian mirror among apt's sources, found none")
  return found
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  )
}
