//! The files that no profile can remove: without them the image breaks its licence, is not imported, or does not start.
//!
//! This table is the only place that says so. A directory is not listed for what it contains: it stays because the files
//! do.
//!
//! What lies in the tree of the utility VM is protected as long as the tree is in the image. A rule that removes the
//! tree as a whole is not held back by this table.

const LICENCE: &str = "the licence of the base image demands that this document stays in it";
const LAYER: &str = "a part of every Windows layer";
const HIVE: &str = "a registry hive that hosts demand of a base layer";
const DELTA: &str = "changes of a layer to the registry, without which its files do not fit the registry";
const BOOT: &str = "the utility VM starts with it, and hosts change it as they import the layer";
const KERNEL: &str = "the kernel, with which the utility VM starts and which tells the version of Windows";
const LOADER: &str = "every process loads it";
const KNOWN: &str = "the session manager loads it for all processes (KnownDLLs)";
const SESSION: &str = "Windows starts its session with it";
const SECURITY: &str = "the local security authority needs it, and no process starts without a logon";
const SERVICES: &str = "the service control manager needs it";
const SERVICE: &str = "a service that a container waits for as it starts";
const CONSOLE: &str = "every console program runs with it";
const AGENT: &str = "the host starts processes in a container through it";
const NETWORK: &str = "without it no program has a network";
const CHARACTERS: &str = "tables of characters and languages that every process needs";
const SORTING: &str = "tables for comparing text that every process needs";

/// The files at fixed places that are the same in both trees, by what follows `WINDOWS/SYSTEM32/`; in ascending order.
///
/// Sources: the subsystems, KnownDLLs, authentication packages and services that the SYSTEM hive of Windows 10 names,
/// and what these import.
const SYSTEM32: &[(&str, &str)] = &[
    ("ADVAPI32.DLL", KNOWN),
    ("APISETSCHEMA.DLL", LOADER),
    ("BASESRV.DLL", SESSION),
    ("BCRYPT.DLL", LOADER),
    ("BCRYPTPRIMITIVES.DLL", LOADER),
    ("BISRV.DLL", SERVICE),
    ("CEXECSVC.EXE", AGENT),
    ("CFGMGR32.DLL", LOADER),
    ("CLBCATQ.DLL", KNOWN),
    ("COMBASE.DLL", KNOWN),
    ("COMDLG32.DLL", KNOWN),
    ("COML2.DLL", KNOWN),
    ("CONFIG/DEFAULT", HIVE),
    ("CONFIG/SAM", HIVE),
    ("CONFIG/SECURITY", HIVE),
    ("CONFIG/SOFTWARE", HIVE),
    ("CONFIG/SYSTEM", HIVE),
    ("CONHOST.EXE", CONSOLE),
    ("CRYPT32.DLL", SECURITY),
    ("CRYPTBASE.DLL", LOADER),
    ("CRYPTDLL.DLL", SECURITY),
    ("CRYPTSP.DLL", LOADER),
    ("CRYPTSVC.DLL", SERVICE),
    ("CSRSRV.DLL", SESSION),
    ("CSRSS.EXE", SESSION),
    ("DIFXAPI.DLL", KNOWN),
    ("GDI32.DLL", KNOWN),
    ("GDI32FULL.DLL", LOADER),
    ("GDIPLUS.DLL", KNOWN),
    ("ICU.DLL", CHARACTERS),
    ("ICUIN.DLL", CHARACTERS),
    ("ICUUC.DLL", CHARACTERS),
    ("IMAGEHLP.DLL", KNOWN),
    ("IMM32.DLL", KNOWN),
    ("KERNEL.APPCORE.DLL", LOADER),
    ("KERNEL32.DLL", KNOWN),
    ("KERNELBASE.DLL", LOADER),
    ("LSASRV.DLL", SECURITY),
    ("LSASS.EXE", SECURITY),
    ("LSM.DLL", SERVICE),
    ("MSASN1.DLL", SECURITY),
    ("MSCTF.DLL", KNOWN),
    ("MSV1_0.DLL", SECURITY),
    ("MSVCP_WIN.DLL", LOADER),
    ("MSVCRT.DLL", KNOWN),
    ("MSWSOCK.DLL", NETWORK),
    ("NORMALIZ.DLL", KNOWN),
    ("NSI.DLL", KNOWN),
    ("NSISVC.DLL", SERVICE),
    ("NTDLL.DLL", LOADER),
    ("NTMARTA.DLL", SECURITY),
    ("NTOSKRNL.EXE", KERNEL),
    ("OLE32.DLL", KNOWN),
    ("OLEAUT32.DLL", KNOWN),
    ("POWRPROF.DLL", LOADER),
    ("PROFAPI.DLL", LOADER),
    ("PROFSVC.DLL", SERVICE),
    ("PSAPI.DLL", KNOWN),
    ("PSMSRV.DLL", SERVICE),
    ("RPCEPMAP.DLL", SERVICE),
    ("RPCRT4.DLL", KNOWN),
    ("RPCSS.DLL", SERVICE),
    ("SAMSRV.DLL", SECURITY),
    ("SCECLI.DLL", SECURITY),
    ("SCESRV.DLL", SERVICES),
    ("SECHOST.DLL", KNOWN),
    ("SERVICES.EXE", SERVICES),
    ("SETUPAPI.DLL", KNOWN),
    ("SHCORE.DLL", KNOWN),
    ("SHELL32.DLL", KNOWN),
    ("SHLWAPI.DLL", KNOWN),
    ("SMSS.EXE", SESSION),
    ("SSPICLI.DLL", SECURITY),
    ("SSPISRV.DLL", SECURITY),
    ("SVCHOST.EXE", SERVICES),
    ("SXS.DLL", SESSION),
    ("SXSSRV.DLL", SESSION),
    ("SYSTEMEVENTSBROKERSERVER.DLL", SERVICE),
    ("UCRTBASE.DLL", LOADER),
    ("UMPO.DLL", SERVICE),
    ("USER32.DLL", KNOWN),
    ("USERMGR.DLL", SERVICE),
    ("VMCOMPUTEAGENT.EXE", AGENT),
    ("WEVTSVC.DLL", SERVICE),
    ("WIN32U.DLL", LOADER),
    ("WINDOWS.STORAGE.DLL", LOADER),
    ("WININIT.EXE", SESSION),
    ("WINSRV.DLL", SESSION),
    ("WINSRVEXT.DLL", SESSION),
    ("WLDAP32.DLL", KNOWN),
    ("WS2_32.DLL", KNOWN),
];

/// Why a file or directory stays whatever profiles say, or nothing when it may go. `folded` is its in-tar name in upper
/// case, such as `FILES/WINDOWS/SYSTEM32/NTDLL.DLL` (see [`crate::layer::FoldedPath`]).
pub fn protected(folded: &str) -> Option<&'static str> {
    match folded {
        "FILES" | "HIVES" | "UTILITYVM" | "UTILITYVM/FILES" => return Some(LAYER),
        "FILES/LICENSE.TXT" => return Some(LICENCE),
        _ => {}
    }
    if let Some(name) = folded.strip_prefix("FILES/") {
        return in_tree(name);
    }
    if let Some(name) = folded.strip_prefix("UTILITYVM/FILES/") {
        return if name.starts_with("EFI/") { Some(BOOT) } else { in_tree(name).or_else(|| boots(name)) };
    }
    folded.starts_with("HIVES/").then_some(DELTA)
}

fn in_tree(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("WINDOWS/")?;
    if let Some(name) = name.strip_prefix("SYSTEM32/") {
        if let Ok(found) = SYSTEM32.binary_search_by(|(known, _)| (*known).cmp(name)) {
            return Some(SYSTEM32[found].1);
        }
        let directly = !name.contains('/');
        return match name {
            _ if directly && name.ends_with(".NLS") => Some(CHARACTERS),
            _ if directly && name.starts_with("SORTWINDOWS") && name.ends_with(".DLL") => Some(SORTING),
            _ => None,
        };
    }
    match name.strip_prefix("GLOBALIZATION/")? {
        name if name.starts_with("SORTING/") => Some(SORTING),
        name if name.starts_with("ICU/") => Some(CHARACTERS),
        _ => None,
    }
}

/// What the virtual machine needs before its session manager runs.
fn boots(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("WINDOWS/")?;
    let file = name.strip_prefix("SYSTEM32/").unwrap_or(name);
    let starts = name.starts_with("BOOT/")
        || file.starts_with("BOOT/")
        || matches!(file, "WINLOAD.EFI" | "HAL.DLL" | "CI.DLL" | "KDCOM.DLL" | "PSHED.DLL" | "BOOTVID.DLL");
    starts.then_some(BOOT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::FoldedPath;

    #[test]
    fn the_table_is_sorted_and_folded() {
        assert!(SYSTEM32.windows(2).all(|two| two[0].0 < two[1].0));
        assert!(SYSTEM32.iter().all(|(name, _)| FoldedPath::new(name).as_str() == *name));
    }

    #[test]
    fn what_must_stay_is_protected_and_what_lies_beside_it_is_not() {
        for (name, stays) in [
            ("Files", true),
            ("UtilityVM", true),
            ("UtilityVM/Files", true),
            ("Hives", true),
            ("Hives/System_Delta", true),
            ("Files/License.txt", true),
            ("Files/Windows/License.txt", false),
            ("Files/Windows/System32/config/SYSTEM", true),
            ("Files/Windows/System32/Config/software", true),
            ("Files/Windows/System32/config/SYSTEM.LOG1", false),
            ("Files/Windows/System32/config/COMPONENTS", false),
            ("Files/Windows/System32", false),
            ("Files/Windows/System32/ntdll.dll", true),
            ("Files/Windows/System32/x/ntdll.dll", false),
            ("Files/Windows/SysWOW64/ntdll.dll", false),
            ("Files/Windows/System32/CExecSvc.exe", true),
            ("Files/Windows/System32/wow64.dll", false),
            ("Files/Windows/System32/C_1252.NLS", true),
            ("Files/Windows/System32/locale.nls", true),
            ("Files/Windows/System32/SortWindows61.dll", true),
            ("Files/Windows/System32/en-US/x.nls", false),
            ("Files/Windows/Globalization/Sorting/SortDefault.nls", true),
            ("Files/Windows/Globalization/ICU/icudtl.dat", true),
            ("Files/Windows/Globalization/Time Zone/x", false),
            ("Files/EFI/Microsoft/Boot/BCD", false),
            ("UtilityVM/Files/EFI/Microsoft/Boot/BCD", true),
            ("UtilityVM/Files/Windows/System32/config/SYSTEM", true),
            ("UtilityVM/Files/Windows/System32/winload.efi", true),
            ("UtilityVM/Files/Windows/System32/vmcomputeagent.exe", true),
            ("UtilityVM/Files/Windows/System32/notepad.exe", false),
            ("UtilityVM/Files/License.txt", false),
            ("Files/Windows/WinSxS/a/ntdll.dll", false),
            ("", false),
        ] {
            assert_eq!(protected(FoldedPath::new(name).as_str()).is_some(), stays, "{name}");
        }
    }
}
