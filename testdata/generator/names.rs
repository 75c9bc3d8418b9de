//! Names for the sample: file names that Windows has, around contents that it has not.

use super::random::seed_of;

/// The build of the base layer, as in the names of the component store.
pub const BASE_VERSION: &str = "10.0.17763.1";
/// The build of the servicing layer.
pub const SERVICING_VERSION: &str = "10.0.17763.8511";

/// What the loader and the session manager cannot do without, below `Windows\System32`.
pub const LOADER: &[&str] = &[
    "apisetschema.dll",
    "C_1252.NLS",
    "C_437.NLS",
    "CExecSvc.exe",
    "combase.dll",
    "csrsrv.dll",
    "csrss.exe",
    "kernel32.dll",
    "KernelBase.dll",
    "locale.nls",
    "lsass.exe",
    "msvcrt.dll",
    "ntdll.dll",
    "rpcrt4.dll",
    "sechost.dll",
    "services.exe",
    "smss.exe",
    "svchost.exe",
    "ucrtbase.dll",
    "user32.dll",
    "wininit.exe",
    "ws2_32.dll",
];

/// Files below `Files` that profiles are about, or must leave alone.
pub const FILES: &[&str] = &[
    "Program Files/Common Files/System/ado/en-US/msader15.dll.mui",
    "Program Files/Common Files/System/ado/msado15.dll",
    "Program Files/Windows Defender/MpClient.dll",
    "Program Files/Windows Defender/MsMpEng.exe",
    "Program Files/Windows Defender/en-US/MpAsDesc.dll.mui",
    "Program Files/WindowsPowerShell/Modules/PackageManagement/PackageManagement.psd1",
    "Program Files (x86)/Common Files/System/ado/msado15.dll",
    "Program Files (x86)/Windows Defender/MpClient.dll",
    "ProgramData/Microsoft/Windows Defender/Definition Updates/Backup/mpasbase.vdm",
    "ProgramData/Microsoft/Windows Defender/Definition Updates/Backup/mpavbase.vdm",
    "ProgramData/Microsoft/Windows Defender/Platform/4.18.1/MsMpEng.exe",
    "Users/Default/AppData/Local/Temp/setup.tmp",
    "Users/Default/NTUSER.DAT",
    "Windows/assembly/GAC_32/System.Data/2.0.0.0__b77a5c561934e089/System.Data.dll",
    "Windows/assembly/NativeImages_v2.0.50727_32/System/0123456789abcdef0123456789abcdef/System.ni.dll",
    "Windows/assembly/GAC_MSIL/System.Sample/2.0.0.0__b77a5c561934e089/System.Sample.dll",
    "Windows/CbsTemp/30715_1/update.log",
    "Windows/Fonts/consola.ttf",
    "Windows/Fonts/segoeui.ttf",
    "Windows/Globalization/Sorting/SortDefault.nls",
    "Windows/Help/en-US/credits.rtf",
    "Windows/Help/Windows/ContentStore/en-US/about.mshc",
    "Windows/IME/IMEJP/DICTS/IMJPST.DIC",
    "Windows/IME/shared/IMEPADSV.EXE",
    "Windows/INF/setupapi.dev.log",
    "Windows/INF/setupapi.offline.log",
    "Windows/InputMethod/CHS/ChsPinyin.lex",
    "Windows/Installer/SourceHash",
    "Windows/LiveKernelReports/USBXHCI-20181.dmp",
    "Windows/Logs/CBS/CBS.log",
    "Windows/Logs/DISM/dism.log",
    "Windows/Media/chimes.wav",
    "Windows/Microsoft.NET/assembly/GAC_32/System.Data/v4.0_4.0.0.0__b77a5c561934e089/System.Data.dll",
    "Windows/Microsoft.NET/assembly/GAC_MSIL/System.Core/v4.0_4.0.0.0__b77a5c561934e089/System.Core.dll",
    "Windows/Microsoft.NET/Framework/v4.0.30319/clr.dll",
    "Windows/Microsoft.NET/Framework/v4.0.30319/mscorlib.dll",
    "Windows/Microsoft.NET/Framework64/v4.0.30319/clr.dll",
    "Windows/Microsoft.NET/Framework64/v4.0.30319/mscorlib.dll",
    "Windows/Minidump/Mini111523-01.dmp",
    "Windows/Panther/setupact.log",
    "Windows/Panther/UnattendGC/diagerr.xml",
    "Windows/Prefetch/CMD.EXE-0BD30981.pf",
    "Windows/servicing/LCU/Package_for_RollupFix~31bf3856ad364e35~amd64~~17763.1.1/update.mum",
    "Windows/servicing/Packages/Microsoft-Windows-Sample-Package~31bf3856ad364e35~amd64~~10.0.17763.1.cat",
    "Windows/servicing/Packages/Microsoft-Windows-Sample-Package~31bf3856ad364e35~amd64~~10.0.17763.1.mum",
    "Windows/servicing/Sessions/30715_2.xml",
    "Windows/servicing/TrustedInstaller.exe",
    "Windows/servicing/Version/10.0.17763.1/cmiv2.dll",
    "Windows/SoftwareDistribution/DataStore/DataStore.edb",
    "Windows/SoftwareDistribution/Download/5a3c/update.cab",
    "Windows/Speech/Common/sapisvr.exe",
    "Windows/Speech/Engines/SR/en-US/l1033.cw",
    "Windows/System32/catroot2/edb.log",
    "Windows/System32/CatRoot/{F750E6C3-38EE-11D1-85E5-00C04FC295EE}/Microsoft-Windows-Sample~31bf3856ad364e35~amd64~~10.0.17763.1.cat",
    "Windows/System32/config/COMPONENTS",
    "Windows/System32/de-DE/shell32.dll.mui",
    "Windows/System32/drivers/en-US/tcpip.sys.mui",
    "Windows/System32/drivers/etc/hosts",
    "Windows/System32/drivers/tcpip.sys",
    "Windows/System32/DriverStore/FileRepository/mfdlpt.inf_amd64_7c1e5b7a/mfdlpt.inf",
    "Windows/System32/DriverStore/FileRepository/prnms003.inf_amd64_1f2a3b4c/Amd64/unishare.gpd",
    "Windows/System32/DriverStore/FileRepository/prnms003.inf_amd64_1f2a3b4c/prnms003.inf",
    "Windows/System32/DriverStore/FileRepository/rdpbus.inf_amd64_02a9c1de/rdpbus.sys",
    "Windows/System32/DriverStore/FileRepository/scansamp.inf_amd64_9b8a7c6d/scansamp.inf",
    "Windows/System32/DriverStore/FileRepository/tapdrv.inf_amd64_11223344/tapdrv.inf",
    "Windows/System32/DriverStore/FileRepository/tdibth.inf_amd64_5566aabb/tdibth.inf",
    "Windows/System32/DriverStore/FileRepository/wscsmd.inf_amd64_ccdd0011/wscsmd.inf",
    "Windows/System32/en-US/shell32.dll.mui",
    "Windows/System32/IME/SHARED/imecfm.dll",
    "Windows/System32/InputMethod/Shared/ChtHkStrokeDS.dll",
    "Windows/System32/oobe/setup.exe",
    "Windows/System32/SMI/Store/Machine/SCHEMA.DAT",
    "Windows/System32/Speech/SpeechUX/speechux.dll",
    "Windows/System32/Speech_OneCore/Common/sapi_onecore.dll",
    "Windows/System32/wbem/WmiPrvSE.exe",
    "Windows/System32/WindowsPowerShell/v1.0/powershell.exe",
    "Windows/System32/winevt/Logs/Application.evtx",
    "Windows/System32/winevt/Logs/System.evtx",
    "Windows/SystemApps/notes.txt",
    "Windows/SysWOW64/IME/SHARED/imecfm.dll",
    "Windows/SysWOW64/kernel32.dll",
    "Windows/SysWOW64/ntdll.dll",
    "Windows/SysWOW64/Speech/Common/sapi.dll",
    "Windows/Temp/setup.log",
    "Windows/Web/Wallpaper/Windows/img0.jpg",
    "Windows/WinSxS/Backup/amd64_microsoft-windows-smss_31bf3856ad364e35_10.0.17763.1_none_smss.exe_1a2b3c4d",
    "Windows/WinSxS/Catalogs/0a1b2c3d4e5f.cat",
    "Windows/WinSxS/FileMaps/$$.cdf-ms",
    "Windows/WinSxS/Fusion/amd64_policy.1.0.sample_31bf3856ad364e35_none_1122334455667788/1.0/1.0.cdf-ms",
    "Windows/WinSxS/ManifestCache/4c8e6b7f_blobs.bin",
    "Windows/WinSxS/pending.xml",
    "Windows/WinSxS/Temp/PendingDeletes/$$DeleteMe.sample.dll",
    "Windows/WinSxS/Temp/TransformerRollbackData/rollback.dat",
    "Windows/WinSxS/amd64_microsoft.windows.common-controls_6595b64144ccf1df_6.0.17763.1_none_05b4414a072024d4/comctl32.dll",
    "Windows/WinSxS/amd64_prnms003.inf_31bf3856ad364e35_10.0.17763.1_none_1f2a3b4c5d6e7f80/unishare.gpd",
    "Windows/WinSxS/amd64_windows-defender-service_31bf3856ad364e35_10.0.17763.1_none_aabbccddeeff0011/MsMpEng.exe",
    "Windows/WinSxS/amd64_microsoft.windows.gdiplus_6595b64144ccf1df_1.1.17763.1_none_5da40a9ddd54b9ad/GdiPlus.dll",
];

/// Directories with nothing in them, which Windows expects all the same.
pub const EMPTY: &[&str] = &[
    "PerfLogs",
    "Program Files/Windows NT/TableTextService",
    "ProgramData/Microsoft/Network/Downloader",
    "Users/Public/Documents",
    "Windows/assembly/temp",
    "Windows/Downloaded Program Files",
    "Windows/INF/.NET Data Provider",
    "Windows/Licenses",
    "Windows/System32/config/systemprofile",
    "Windows/System32/LogFiles/WMI",
    "Windows/System32/Tasks/Microsoft",
    "Windows/Tracing",
    "Windows/WinSxS/InstallTemp",
];

/// The stem of the `number`th file name: first some that everybody knows, then combinations.
pub fn stem(number: u32) -> String {
    const KNOWN: &[&str] = &[
        "advpack",
        "bcp47langs",
        "certcli",
        "dbghelp",
        "efswrt",
        "fveapi",
        "gpapi",
        "hnetcfg",
        "iphlpapi",
        "jscript",
        "kerberos",
        "loadperf",
        "mapi32",
        "netlogon",
        "odbc32",
        "pdh",
        "qmgr",
        "rasapi32",
        "scrrun",
        "tapi32",
        "uxtheme",
        "vssapi",
        "wtsapi32",
        "xmllite",
    ];
    const FIRST: &[&str] =
        &["app", "base", "cert", "dev", "event", "font", "graph", "host", "image", "job", "key", "log", "net"];
    const SECOND: &[&str] =
        &["api", "broker", "client", "core", "data", "engine", "flow", "host", "proxy", "svc", "util"];
    if let Some(known) = KNOWN.get(number as usize) {
        return (*known).to_owned();
    }
    let number = number as usize - KNOWN.len();
    let (first, rest) = (FIRST[number % FIRST.len()], number / FIRST.len());
    format!("{first}{}{}", SECOND[rest % SECOND.len()], rest / SECOND.len())
}

/// A directory of the component store, named as Windows names them.
pub fn component(architecture: &str, stem: &str, version: &str) -> String {
    let hash = seed_of(&format!("{architecture}{stem}{version}"));
    format!("Files/Windows/WinSxS/{architecture}_microsoft-windows-{stem}_31bf3856ad364e35_{version}_none_{hash:016x}")
}
