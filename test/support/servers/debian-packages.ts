import { execFile } from 'node:child_process'
import { access, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pRetry from 'p-retry'
import { cachedFolder } from './cache.js'

const run = promisify(execFile)

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Packages of one Debian suite that make up one server. */
export interface DebianPackages {
  readonly suite: string
  /** Unpacked with all the libraries it needs. */
  readonly server: string
  /** Unpacked beside it as they are; what they need is there already. */
  readonly beside: readonly string[]
}

/** Whether packages can be fetched on this machine. */
export async function hasDebianPackages(): Promise<boolean> {
  return access(keyring).then(
    () => true,
    () => false,
  )
}

/**
 * Unpacks the packages into a folder of their own and returns that folder. Nothing of the machine's own system
 * changes, and no rights are needed: apt works on private lists, and believes that no package is installed.
 */
export async function unpackDebianPackages(packages: DebianPackages, report: (line: string) => void): Promise<string> {
  return cachedFolder([packages.suite, packages.server, ...packages.beside].join('-'), async (folder, scratch) => {
    report(`${packages.server} from Debian ${packages.suite}: fetching`)
    await fetchAndUnpack(scratch, folder, packages)
  })
}

async function fetchAndUnpack(scratch: string, folder: string, packages: DebianPackages): Promise<void> {
  const lists = join(scratch, 'lists')
  const archives = join(scratch, 'cache/archives')
  await mkdir(join(lists, 'partial'), { recursive: true })
  await mkdir(join(archives, 'partial'), { recursive: true })
  const sources = join(scratch, 'sources.list')
  await writeFile(sources, `deb [signed-by=${keyring}] ${await mirror()} ${packages.suite} main\n`)
  await writeFile(join(scratch, 'status'), '')
  const options = [
    `Dir::Etc::sourcelist=${sources}`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::Lists=${lists}`,
    `Dir::State::status=${join(scratch, 'status')}`,
    `Dir::Cache=${join(scratch, 'cache')}`,
    'APT::Install-Recommends=false',
    'APT::Sandbox::User=root',
    'Debug::NoLocking=true',
    'Acquire::Retries=3',
    // The archive of an old suite stays as it is, and its signature grows old.
    'Acquire::Check-Valid-Until=false',
  ].flatMap((option) => ['-o', option])
  const apt = (...command: string[]) =>
    pRetry(() => run('apt-get', [...options, ...command], { cwd: archives, maxBuffer: 2 ** 26 }), { retries: 3 })
  // Without the second option an unreachable mirror is only a warning.
  await apt('update', '-o', 'APT::Update::Error-Mode=any')
  await apt('--yes', '--download-only', 'install', packages.server)
  await apt('download', ...packages.beside)
  for (const file of await readdir(archives)) {
    if (file.endsWith('.deb')) await run('dpkg', ['-x', join(archives, file), folder])
  }
}

/** The mirror this machine uses itself. */
async function mirror(): Promise<string> {
  // Without the option apt tells nothing on a machine where its lists were never updated.
  const format = ['indextargets', '--no-release-info', '--format', '$(REPO_URI)', 'Created-By: Packages']
  const { stdout } = await run('apt-get', format)
  const found = stdout.split('\n').find((uri) => /\/debian\/?$/.test(uri))
  if (found === undefined) throw new Error("expected a Debian mirror among apt's sources, found none")
  return found
}
